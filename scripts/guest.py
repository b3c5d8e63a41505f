#!/usr/bin/env python3
"""Check libvirt layouts of guests with libvirt's schema and with QEMU, which needs no passed device.

    guest.py NVTOPO SOURCE [DEVICES]...

For each machine, such as preset:dgx-a100 or preset:dgx-a100=0-3,mlx5_0, it writes the layout, validates it, and starts QEMU with
the same controllers and test devices in the places of those of the host. The firmware then numbers the buses: the addresses must
be those of the comments, and those of the guest's NCCL topology file. Needs virt-xml-validate and qemu-system-x86_64.
"""

import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET

MODELS = {
    "pcie-expander-bus": "pxb-pcie",
    "pcie-root-port": "pcie-root-port",
    "pcie-switch-upstream-port": "x3130-upstream",
    "pcie-switch-downstream-port": "xio3130-downstream",
}


def convert(program, source, devices, to):
    command = [program, "convert", "--from", source, "--to", to, "--quiet"]
    return subprocess.run(command + (["--devices", devices] if devices else []), check=True, text=True,
                          capture_output=True).stdout


def place(element):
    """The bus, and the slot with its function, of an address."""
    at = element.find("address")
    many = ",multifunction=on" if at.get("multifunction") == "on" else ""
    return f"bus=c{int(at.get('bus'), 16)},addr={int(at.get('slot'), 16):x}.{int(at.get('function'), 16)}{many}"


def options(domain):
    cells = domain.findall("cpu/numa/cell")
    yield from ["-M", "q35", "-accel", "tcg", "-display", "none", "-nodefaults", "-monitor", "stdio"]
    yield from ["-m", f"{128 * max(len(cells), 1)}M", "-smp", str(max(len(cells), 1))]
    for cell in cells:
        number = cell.get("id")
        yield from ["-object", f"memory-backend-ram,size=128M,id=m{number}"]
        yield from ["-numa", f"node,nodeid={number},cpus={number},memdev=m{number}"]
    for number, controller in enumerate(domain.findall("devices/controller")[1:], 1):
        device = f"{MODELS[controller.get('model')]},id=c{number}"
        if target := controller.find("target"):
            device += f",numa_node={target.findtext('node')}"
        if controller.find("target") is not None:
            device += f",bus=pcie.0,bus_nr={controller.find('target').get('busNr')}"
        else:
            device += f",{place(controller)}"
            device += "" if "upstream" in device else f",chassis={number},port={number % 256}"
        yield from ["-device", device]
    for device in domain.findall("devices/hostdev"):
        yield from ["-device", f"pci-testdev,{place(device)}"]


def firmware(domain):
    """The addresses of the test devices, once the firmware has numbered the buses."""
    run = subprocess.Popen(["qemu-system-x86_64", *options(domain)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT)

    def answer():
        text = b""
        while not text.endswith(b"(qemu) ") and (more := run.stdout.read1()):
            text += more
        return text.decode(errors="replace")

    said, found = answer(), None
    for _ in range(30):
        if run.poll() is not None:
            sys.exit(f"QEMU refused the layout: {said}")
        time.sleep(2)
        run.stdin.write(b"info qtree\n")
        run.stdin.flush()
        before, found = found, re.findall(r'dev: pci-testdev.*?addr (\w\w:\w\w\.\w)', answer(), re.DOTALL)
        if found == before and len(set(found)) == len(domain.findall("devices/hostdev")):
            break
    run.kill()
    return sorted(f"0000:{address}" for address in found)


def main():
    program, *machines = sys.argv[1:]
    for machine in machines:
        source, _, devices = machine.partition("=")
        text = convert(program, source, devices, "libvirt-xml")
        with tempfile.NamedTemporaryFile("w", suffix=".xml") as file:
            file.write(text)
            file.flush()
            subprocess.run(["virt-xml-validate", file.name, "domain"], check=True, stdout=subprocess.DEVNULL)
        domain = ET.fromstring(text)
        said = re.findall(r"<!-- .* at (0000:\S+) in the guest", text)
        nccl = {pci.get("busid") for pci in ET.fromstring(
            convert(program, source, devices or ",".join(all_devices(text)), "nccl-xml")).iter("pci")}
        found = firmware(domain)
        if found != sorted(said) or not set(said) <= nccl:
            sys.exit(f"{machine}: the layout says {sorted(said)}, QEMU {found}, NCCL's file {sorted(nccl)}")
        print(f"{machine}: {len(said)} devices where the layout says")


def all_devices(text):
    return re.findall(r"<!-- (\S+?),? .* in the guest", text)


if __name__ == "__main__":
    main()
