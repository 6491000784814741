"""Runs in a build step: tries all lines of `targets` at once. Prints which it reached, and which names it could not resolve."""
import os, socket, stat, threading, time

time.sleep(2)  # a link-local address is usable only after that


def tcp(host, port):
    socket.create_connection((host, int(port)), timeout=3).close()


def unix(path):
    with socket.socket(socket.AF_UNIX) as each:
        each.settimeout(3)
        each.connect("\0" + path[1:] if path.startswith("@") else path)


def device(path, kind, major, minor):
    """Opens the existing device, or creates it as root could."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
    except OSError:
        made = "/tmp/canary-" + os.path.basename(path)
        os.mknod(made, (stat.S_IFBLK if kind == "b" else stat.S_IFCHR) | 0o600, os.makedev(int(major), int(minor)))
        os.close(os.open(made, os.O_RDONLY | os.O_NONBLOCK))


def read(path):
    with open(path, "rb", buffering=0) as file:
        if not file.read(4):
            raise OSError("it is empty")


def write(path):
    os.close(os.open(path, os.O_WRONLY | os.O_APPEND))


def make(path):
    os.mkdir(path)
    os.rmdir(path)


ways = {each.__name__: each for each in (tcp, unix, device, read, write, make)}


def attempt(at, way, *words):
    try:
        ways[way](*words)
        print(f"reached {at}\n", end="", flush=True)
    except socket.gaierror as error:
        print(f"unknown {words[0]}: {error}\n", end="", flush=True)
    except OSError as error:
        print(f"kept from {at} ({' '.join(words)}): {error}\n", end="", flush=True)


device("/dev/zero", "c", 1, 5)  # the control: devices that steps may use and create
device("/none", "c", 1, 5)
targets = [line.split() for line in open("/targets")]
threads = [threading.Thread(target=attempt, args=(at, *target)) for at, target in enumerate(targets)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(f"tried {len(targets)}", flush=True)
