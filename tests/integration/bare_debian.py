"""A Debian 12 of its own, made from Debian's packages by mmdebstrap, for what has to work on a machine that has nothing else."""
import os
import shutil
import subprocess

import seawall_harness as harness

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def release_package(out):
    """The package of a release build."""
    for words in (["cmake", "--preset", "release"], ["cmake", "--build", "--preset", "release", "--target", "seawall"]):
        subprocess.run(words, cwd=harness.ROOT, check=True, capture_output=True)
    program = harness.ROOT / "build/release/seawall"
    subprocess.run([harness.ROOT / "packaging/deb/build", program, out], check=True, capture_output=True)
    package, = out.glob("seawall_*.deb")
    return program, package


class BareDebian:
    """`packages` beside the essential ones and apt. Root alone can make one."""

    def __init__(self, root, *packages):
        self.root = root
        subprocess.run(["mmdebstrap", "--variant=apt", "--mode=root", *([f"--include={','.join(packages)}"] if packages else []), "bookworm",
                        root], check=True, capture_output=True)
        shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
        self.write("etc/apt/apt.conf.d/90yes", 'APT::Get::Assume-Yes "true";\n')  # who installs would press Enter
        self.write("usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)  # nothing is started by being installed
        self.run("apt-get update")

    def write(self, path, text, mode=0o644):
        path = self.root / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def run(self, script, user="root", cwd="/", check=True, timeout=600):
        """A script of bash, with what a login has and nothing of ours. What it leaves running stays."""
        home = "/root" if user == "root" else f"/var/lib/{user}"
        enter = ('mount -t proc proc "$0/proc"; mount --rbind /dev "$0/dev"; exec chroot --userspec="$1" "$0" env -i PATH="$2" HOME="$3" '
                 'LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive bash -euxc "cd $4; $5"')
        with subprocess.Popen(["unshare", "--mount", "sh", "-c", enter, self.root, f"{user}:{user}", PATH, home, cwd, script],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
            said, _ = running.communicate(timeout=timeout)
        assert not check or running.returncode == 0, f"{script}\n{said}"
        return said if check else (running.returncode, said)

    def out(self, command, user="root", cwd="/"):
        """Standard output alone."""
        name = f"out-{os.getpid()}"
        self.run(f"{{ {command}; }} >/tmp/{name}", user, cwd)
        text = (self.root / "tmp" / name).read_text()
        (self.root / "tmp" / name).unlink()
        return text
