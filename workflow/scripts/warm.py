"""Local jobs start warm: a server that has the libraries loaded forks a process for each, instead of 4 s of imports per job.

``python -IS warm.py SOCKET LIBRARIES SCRIPT ARGUMENT...`` runs a script as ``python SCRIPT ARGUMENT...`` would: same arguments, folder,
environment, output and exit status, in a process of its own. The first client starts the server of a Snakemake run, whose process id
ends the socket's name; the server ends with that process. A job dies with its client, with the server, and so with Snakemake; where no
server can be had the script is run cold. The client imports almost nothing: its start is part of each job's cost.
"""

import os
import socket
import sys

# what a job's libraries are loaded by, beside those of all
LIBRARIES = {
    "light": ("numpy", "h5py", "dagal.plan.job", "dagal.acquisition.methods", "dagal.acquisition.scores", "dagal.pool"),
    "torch": ("torch", "safetensors.torch", "dagal.learners.training", "dagal.learners.inference"),
    "analysis": ("pandas", "seaborn", "matplotlib.figure", "altair"),
}


# --------------------------------------------------------------------------------------------------------------- client


def connect(path: str) -> socket.socket:
    """A connection to the server, which is started if there is none."""
    import fcntl

    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with open(f"{path}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            client.connect(path)
            return client
        except OSError:
            serve_in_background(path)
        client.connect(path)
    return client


def serve_in_background(path: str) -> None:
    """Start the server in a session of its own and wait until it listens."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        try:
            os.setsid()
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            log = os.open(f"{path}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            for number in (1, 2):
                os.dup2(log, number)
            os.set_inheritable(writer, True)
            os.execv(sys.executable, [sys.executable, __file__, path, str(writer)])
        finally:
            os._exit(1)
    os.close(writer)
    os.read(reader, 1)  # returns when the server listens, and when it has died
    os.close(reader)


def run(path: str, libraries: str, script: str, arguments: list[str]) -> int:
    """Have the server run a script; its exit status."""
    import json

    request = [libraries, script, arguments, os.getcwd(), dict(os.environ)]
    try:
        server = connect(path)
        message = json.dumps(request).encode()
        socket.send_fds(server, [len(message).to_bytes(8, "big")], [0, 1, 2])
        server.sendall(message)
        started = server.recv(1)
    except OSError:
        started = b""
    if not started:
        os.execv(
            sys.executable, [sys.executable, os.path.join(os.path.dirname(__file__), "job.py"), script, *arguments]
        )
    status = server.recv(1)  # nothing if the server, and with it the job, has been killed
    return status[0] if status else 1


# --------------------------------------------------------------------------------------------------------------- server


def serve(path: str, ready: int) -> None:
    """Fork a process for every request until the Snakemake of the socket's name has ended."""
    import selectors

    for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR"):
        os.environ[f"{name}_NUM_THREADS"] = "1"  # jobs with more threads run cold
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    if os.path.exists(path):
        os.unlink(path)
    listener.bind(path)
    listener.listen(256)
    os.write(ready, b"1")
    os.close(ready)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ, ("accept", None))
    snakemake = os.pidfd_open(int(path.rpartition("-")[2]))
    selector.register(snakemake, selectors.EVENT_READ, ("end", None))
    jobs = {}  # connection -> process id
    while True:
        for key, _ in selector.select():
            event, connection = key.data
            if event == "end":
                for pid in jobs.values():
                    kill(pid)
                for leftover in (path, f"{path}.lock", f"{path}.log"):
                    os.unlink(leftover)
                os._exit(0)
            if event == "accept":
                connection, _ = listener.accept()
                pid, process = fork(connection, [listener, *jobs])
                if pid:
                    jobs[connection] = pid
                    selector.register(connection, selectors.EVENT_READ, ("gone", connection))
                    selector.register(process, selectors.EVENT_READ, ("done", connection))
                else:
                    connection.close()
            elif event == "gone":  # the client has been killed
                selector.unregister(connection)
                kill(jobs[connection])
            else:
                selector.unregister(key.fd)
                os.close(key.fd)
                code = os.waitstatus_to_exitcode(os.waitpid(jobs.pop(connection), 0)[1])
                if connection in selector.get_map():
                    selector.unregister(connection)
                    connection.sendall(bytes([code if code >= 0 else 128 - code]))
                connection.close()


def kill(pid: int) -> None:
    """A job, with the processes that it has started."""
    import contextlib
    import signal

    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def fork(connection: socket.socket, inherited: list) -> tuple[int, int]:
    """Process id and descriptor of a new job for the request on a connection; (0, -1) if there is none: its client runs it cold."""
    import contextlib
    import importlib
    import json
    import traceback

    connection.settimeout(10)
    descriptors = []
    try:
        size, descriptors, *_ = socket.recv_fds(connection, 8, 3)
        message = b""
        while len(message) < int.from_bytes(size, "big"):
            message += connection.recv(1 << 20) or b"\0"  # a client that is gone leaves no JSON
        libraries, *request = json.loads(message)
        for name in (*LIBRARIES["light"], *LIBRARIES[libraries]):
            importlib.import_module(name)
        connection.sendall(b"1")
    except Exception:
        traceback.print_exc()
        for number in descriptors:
            os.close(number)
        return 0, -1
    connection.settimeout(None)
    pid = os.fork()
    if pid == 0:
        for other in (*inherited, connection):
            other.close()
        job(descriptors, *request)
    for number in descriptors:
        os.close(number)
    with contextlib.suppress(OSError):  # it may have ended already
        os.setpgid(pid, pid)
    return pid, os.pidfd_open(pid)


def job(descriptors: list[int], script: str, arguments: list[str], folder: str, environment: dict) -> None:
    """In the forked process: become ``python script arguments`` and never return."""
    import atexit
    import ctypes
    import runpy
    import signal

    code = 1
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: dies with the server
        os.setpgid(0, 0)
        for number, given in enumerate(descriptors):
            os.dup2(given, number)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = [script, *arguments]
        runpy.run_path(script, run_name="__main__")
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        try:
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
        finally:  # a log on a full disk must not make a second server of this process
            os._exit(code)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        serve(sys.argv[1], int(sys.argv[2]))
    else:
        sys.exit(run(*sys.argv[1:4], sys.argv[4:]))
