"""What a job ran on. Its processor decides the order in which libraries add numbers, and so the last bits of what is learnt."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
# instructions that the libraries choose their code by, the widest first -> flags of Linux that stand for them
INSTRUCTIONS = {
    "AVX512": {"avx512f", "avx512bw", "avx512dq", "avx512vl"},
    "AVX2": {"avx2", "fma"},
    "AVX": {"avx"},
    "SSE4.2": {"sse4_2"},
}
# variables by which PyTorch, oneDNN, MKL, OpenBLAS and NumPy are told to use less than there is
FORCED = (
    "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA",
    "MKL_ENABLE_INSTRUCTIONS",
    "MKL_CBWR",
    "OPENBLAS_CORETYPE",
    "NPY_DISABLE_CPU_FEATURES",
)


def processor() -> str:
    """The kind of processor of this process, what the environment forces upon it, and the GPU if it uses one, in one line."""
    used = gpu()
    parts = [described(first_processor(), platform.machine()), *forced(os.environ)]
    return "; ".join([*parts, used[0]] if used else parts)


def gpu() -> tuple[str, float] | None:
    """The GPU that this process uses, and the most memory (MiB) that its tensors have taken there; None where it uses none."""
    torch = sys.modules.get("torch")  # a job that has not loaded it uses no GPU
    if not (torch and torch.cuda.is_initialized()):
        return None
    return torch.cuda.get_device_name(), torch.cuda.max_memory_allocated() / 2**20


def first_processor() -> str:
    """What Linux tells of the first processor; a machine has hundreds, each with a page of text."""
    try:
        with CPUINFO.open() as file:
            return file.read(1 << 14).partition("\n\n")[0]
    except OSError:
        return ""


def described(cpuinfo: str, machine: str) -> str:
    """ "AMD EPYC, family 25, model 1, AVX2" of what Linux tells of a processor; the kind of ``machine`` where it tells no name."""
    about = dict(line.split(":", 1) for line in cpuinfo.splitlines() if ":" in line)
    about = {name.strip(): " ".join(value.split()) for name, value in about.items()}
    flags = set(about.get("flags", "").split())
    parts = [about.get("model name", machine)]
    parts += [f"{word} {about[name]}" for word, name in (("family", "cpu family"), ("model", "model")) if name in about]
    parts += [f"{name} {about[name]}" for name in ("CPU implementer", "CPU part") if name in about]  # of ARM
    parts += [name for name, needed in INSTRUCTIONS.items() if needed <= flags][:1]
    return ", ".join(parts)


def forced(environment: Mapping[str, str]) -> list[str]:
    """The variables of `FORCED` that are set, as in a shell."""
    return [f"{name}={' '.join(environment[name].split())}" for name in FORCED if environment.get(name)]


def gpus() -> list[str]:
    """Names of the GPUs of this machine."""
    if not shutil.which("nvidia-smi"):
        return []
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.splitlines() if done.returncode == 0 else []
