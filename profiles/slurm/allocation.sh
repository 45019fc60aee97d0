#!/usr/bin/env bash
# A whole study in one allocation: plain Snakemake inside a single job of Slurm, without the plug-in.
#   sbatch --account=my_account --partition=gpu profiles/slurm/allocation.sh --configfile my_study.yaml
# Options of sbatch on the command line win over those below. When the time is up, submit the same again: it goes on.
#SBATCH --job-name=dagal
#SBATCH --dependency=singleton
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=16
#SBATCH --gpus=1
#SBATCH --mem=64G
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@600
# singleton: never two of them at once, so a lock that is there is a dead one's. 10 minutes before the end no further job is started.
set -uo pipefail
PATH="$PWD/.venv/bin:$PATH"
snakemake --unlock "$@" > /dev/null 2>&1
snakemake --resources mem_mb="$SLURM_MEM_PER_NODE" --cores "$SLURM_CPUS_PER_TASK" "$@" &
trap 'kill -TERM $!' TERM
wait $!            # ends when the signal comes
trap - TERM
wait $!            # until Snakemake has ended
