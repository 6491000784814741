"""Runs in a build step: tries every line of `targets` (a host and a port) at once and says which it reached, and which names it could not look up."""
import socket, threading, time

time.sleep(2)  # an address within the link may be used only after that


def attempt(at, host, port):
    try:
        socket.create_connection((host, int(port)), timeout=3).close()
        print(f"reached {at}\n", end="", flush=True)
    except socket.gaierror as error:
        print(f"unknown {host}: {error}\n", end="", flush=True)
    except OSError as error:
        print(f"kept from {at} ({host} {port}): {error}\n", end="", flush=True)


targets = [line.split() for line in open("/targets")]
threads = [threading.Thread(target=attempt, args=(at, *target)) for at, target in enumerate(targets)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(f"tried {len(targets)}", flush=True)
