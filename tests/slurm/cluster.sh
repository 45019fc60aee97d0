#!/usr/bin/env bash
# A Slurm of this machine's own, for tests: cluster.sh up FOLDER, cluster.sh down FOLDER. As root, with slurm-wlm and munge installed;
# cluster.sh node FOLDER NAME starts the daemon of a node.
# Node c1 is the partition cpu, node g1 the partition gpu, whose one card is pretended. All daemons belong to the folder.
set -euo pipefail
folder=$(realpath -m "$2")
node() { slurmd -N "$1"; }

up() {
  mkdir -p "$folder"/{etc,run,log,state,c1,g1}
  chmod 700 "$folder" "$folder/run"
  head -c 128 /dev/urandom > "$folder/etc/key"
  chmod 400 "$folder/etc/key"
  munged --force --key-file="$folder/etc/key" --socket="$folder/run/munge" --pid-file="$folder/run/munged.pid" \
    --log-file="$folder/log/munged" --seed-file="$folder/etc/seed"
  read -r controller c1 g1 < <(python3 -c '
import socket
found = [socket.socket() for _ in range(3)]
for one in found:
    one.bind(("127.0.0.1", 0))
print(*[one.getsockname()[1] for one in found])')
  local host memory
  host=$(hostname -s)
  memory=$(awk '/MemTotal/ {print int($2 / 1024)}' /proc/meminfo)
  cat > "$folder/etc/slurm.conf" << CONF
ClusterName=dagal
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$controller
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AuthType=auth/munge
AuthInfo=socket=$folder/run/munge
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/%n
SlurmctldPidFile=$folder/run/slurmctld.pid
SlurmdPidFile=$folder/run/slurmd-%n.pid
SlurmctldLogFile=$folder/log/slurmctld
SlurmdLogFile=$folder/log/slurmd-%n
SlurmdTimeout=10
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc=$folder/log/jobs
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_min_interval=0,batch_sched_delay=0
SlurmdParameters=config_overrides
MailProg=/bin/true
ReturnToService=2
KillWait=5
GresTypes=gpu
PropagateResourceLimits=NONE
NodeName=c1 NodeHostname=$host NodeAddr=127.0.0.1 Port=$c1 CPUs=8 RealMemory=$memory
NodeName=g1 NodeHostname=$host NodeAddr=127.0.0.1 Port=$g1 CPUs=8 RealMemory=$memory Gres=gpu:1
PartitionName=cpu Nodes=c1 MaxTime=60 Default=YES
PartitionName=gpu Nodes=g1 MaxTime=60
CONF
  echo "NodeName=g1 Name=gpu File=/dev/null" > "$folder/etc/gres.conf"
  : > "$folder/etc/cgroup.conf"
  # the plug-in drops SLURM_CONF, so the files must be where Slurm looks for them
  for name in slurm gres cgroup; do
    [ ! -e "/etc/slurm/$name.conf" ] || [ -L "/etc/slurm/$name.conf" ] || { echo "/etc/slurm/$name.conf: a real Slurm is here" >&2; exit 1; }
    ln -sfn "$folder/etc/$name.conf" "/etc/slurm/$name.conf"
  done
  slurmctld
  node c1
  node g1
  for _ in $(seq 100); do
    [ "$(timeout 2 sinfo --noheader --Node --format=%T 2> /dev/null | xargs)" = "idle idle" ] && return
    sleep 0.2
  done
  tail -n 5 "$folder"/log/* >&2
  exit 1
}

down() {
  timeout 5 scancel --user=root || true
  sleep 1
  for name in slurmd-c1 slurmd-g1 slurmctld munged; do
    [ ! -e "$folder/run/$name.pid" ] || kill "$(cat "$folder/run/$name.pid")" || true
  done
  for name in slurm gres cgroup; do
    [ "$(readlink "/etc/slurm/$name.conf")" != "$folder/etc/$name.conf" ] || rm "/etc/slurm/$name.conf"
  done
}

"$1" "${@:3}"
