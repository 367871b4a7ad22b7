/**
 * Takes from a program what evaluate's code_eval does: names that end or disturb the process are None. Python, on modules
 * `builtins`, `os`, `shutil`, `subprocess` and `sys`.
 */
export const takenAway = `for owner, names in (
    (builtins, "exit quit help"),
    (os, "kill system putenv remove removedirs rmdir fchdir setuid fork forkpty killpg rename renames truncate replace "
         "unlink fchmod fchown chmod chown chroot lchflags lchmod lchown getcwd chdir"),
    (shutil, "rmtree move chown"),
    (subprocess, "Popen"),
):
    for name in names.split():
        setattr(owner, name, None)
for name in "ipdb joblib resource psutil tkinter".split():
    sys.modules[name] = None`;

/**
 * Runs one program and reports a verdict, as evaluate's code_eval does: names that end or disturb the process are None, any
 * exception is a failure, also SystemExit, and running off the end is a pass. The request comes on standard input, the
 * verdict goes to descriptor 3 behind a word that nobody else knows, so that printing "passed" is no pass.
 */
export const driver = `
import builtins, json, os, sys

def main():
    import faulthandler, platform, resource, shutil, signal, subprocess
    request = json.loads(sys.stdin.buffer.read().decode("utf-8", "surrogatepass"))
    write, leave = os.write, os._exit
    os.set_inheritable(3, False)

    def report(kind, message=""):
        text = json.dumps({"word": request["word"], "kind": kind, "message": message[:500],
                           "python": platform.python_version()})
        write(3, text.encode())
        leave(0)

    for name, limit in (("CPU", int(request["seconds"]) + 2), ("AS", request["memory"]), ("FSIZE", request["file"]),
                        ("NPROC", request["processes"]), ("NOFILE", 64), ("CORE", 0)):
        resource.setrlimit(getattr(resource, "RLIMIT_" + name), (limit, limit))

    class Unreadable:
        def fail(self, *args):
            raise OSError("standard input cannot be read")
        read = readline = readlines = __iter__ = __next__ = fileno = fail

    sys.stdin = Unreadable()
    os.environ["OMP_NUM_THREADS"] = "1"
    faulthandler.disable()
${takenAway.replaceAll(/^/gm, '    ')}
    class TimedOut(BaseException):
        pass

    def stop(*args):
        raise TimedOut()

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, request["seconds"])
    try:
        exec(compile(request["program"], "<string>", "exec"), {})
    except TimedOut:
        report("timed out")
    except BaseException as error:
        report("failed", type(error).__name__ + ": " + str(error))
    report("passed")

main()
`;
