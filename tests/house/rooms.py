#!/usr/bin/env python3
"""The walls between the rooms, read off the #include lines. One rule per room, as README.md draws them."""
import glob
import os
import re
import sys

SRC = os.environ.get("SRC") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# (name, files, what must not be included, exceptions)
SYSTEM_IO = r"sys/socket\.h|sys/un\.h|netinet/|poll\.h|pthread\.h|sys/epoll\.h|linux/kvm\.h"
RULES = [
    ("gdb/ protocol: no sockets, threads, KVM or machine", r"gdb/(?!server|target_vm).*\.[ch]$",
     SYSTEM_IO + r"|vmm/|arch/(?!desc\.h)|devices/|gdb/server|gdb/target_vm"),
    ("gdb/server*: bytes, not packets or the machine", r"gdb/server.*\.[ch]$",
     r"linux/kvm\.h|gdb/packet|gdb/hex|gdb/target\.h|gdb/target_vm|vmm/(?!(log|sandbox|unix_socket)\.h)|arch/|devices/"),
    ("gdb/target_vm: target.h and vmm/debug.h only", r"gdb/target_vm.*\.[ch]$",
     r"linux/kvm\.h|vmm/(?!debug\.h|log\.h)|arch/(?!desc\.h)|devices/|sys/socket\.h"),
    ("vmm/debug*: no packets, sockets, KVM or ISA", r"vmm/debug.*\.[ch]$",
     r"linux/kvm\.h|sys/socket\.h|gdb/|devices/|arch/(?!desc\.h)|vmm/(?!debug)"),
    ("vmm/: no protocol, except where main wires it", r"vmm/(?!main\.c).*\.[ch]$", r"gdb/"),
    ("devices/: no KVM, vCPUs or debugger", r"devices/.*\.[ch]$", r"linux/kvm\.h|vmm/|gdb/|arch/"),
    ("arch/: no debugger protocol", r"arch/.*\.[ch]$", r"gdb/"),
    ("arch/*/hwbp, mmu, insn, unwind and orc: pure, no ioctls", r"arch/([^/]+/(hwbp|mmu|insn|unwind.*|orc)|unwind)\.[ch]$",
     r"linux/kvm\.h|sys/ioctl\.h|vmm/|arch/arch\.h|arch/[^/]+/arch_"),
    ("arch/boot_common, arch/arm64's boot, device tree and core know no KVM, so any host can test them",
     r"arch/(boot_common|arm64/(boot|fdt|dtb|core).*)\.[ch]$",
     r"linux/kvm\.h|asm/kvm\.h|sys/ioctl\.h|vmm/kvm\.h|arch/[^/]+/arch_"),
    ("vmm/verdict, result, report, symtab, kallsyms, where, number, spelling, job and kick: no machine, so any host can "
     "test them",
     r"vmm/(verdict|result|report|symtab|kallsyms|where|number|spelling|job|kick).*\.[ch]$",
     r"linux/kvm\.h|sys/ioctl\.h|vmm/(kvm|debug|vm_.*)\.h|arch/"),
    ("KVM's ioctls are made by arch/kvm_call (the console has a terminal's, the sandbox their numbers)",
     r"(vmm/(?!console_host|sandbox).*|gdb/.*|arch/(?!kvm_call\.c).*|devices/.*)", r"sys/ioctl\.h"),
    ("one ISA does not know the other", r"arch/x86_64/.*", r"arch/arm64/"),
    ("one ISA does not know the other (arm64)", r"arch/arm64/.*", r"arch/x86_64/"),
    ("vmm/, gdb/ and devices/ do not name an ISA's folder", r"(vmm|gdb|devices)/.*\.[ch]$", r"arch/(x86_64|arm64)/"),
]
# A pointer into guest memory shows bytes that a running guest may change between two looks. Everybody copies, by
# memory_read() or, in vm_debug, by its own functions; these may have one, and why theirs is safe:
RAW_POINTER = re.compile(r"\bmemory_(at|span)\(|\brange\[[^]]*\]\.host\b|->host\b|\bm\.ram\(")
RAW_POINTERS = {
    "vmm/memory.c": "makes them, checks all ranges, copies",
    "vmm/memslots.c": "tells KVM where memory is; follows none",
    "vmm/remains.c": "gives memory back that no vCPU has any more",
    "vmm/vcpu_ram.c": "makes a guest's own store in its stead, atomically as a processor would",
    "vmm/vm_debug_ops.c": "hands them to vm_debug's files, below",
    "vmm/debug_mem.c": "copies, while the world is stopped",
    "vmm/debug_plant.c": "plants while the world is stopped; compares single bytes atomically while it runs",
    "vmm/debug_bp.c": "compares single bytes atomically",
    "vmm/debug_watch.c": "copies and compares bytes while all vCPUs but one step are held; none is a length or an index",
    "vmm/debug_info.c": "shows an address to the user; follows none",
    "vmm/core_file.c": "writes a dump, all vCPUs being held",
    "vmm/core_ram.c": "looks through memory for a dump, all vCPUs being held",
    "arch/x86_64/firmware.c": "loads, before any vCPU runs",
    "arch/x86_64/boot_map.c": "loads, before any vCPU runs",
    "arch/x86_64/boot_paging.c": "loads, before any vCPU runs",
}
ISA_IFDEF = re.compile(r"^\s*#\s*(if|ifdef|ifndef|elif).*(__x86_64__|__aarch64__|__i386__|__arm__)", re.M)
INCLUDE = re.compile(r'^\s*#\s*include\s+["<]([^">]+)[">]', re.M)


def sources():
    for room in ("vmm", "gdb", "arch", "devices"):
        for path in glob.glob(os.path.join(SRC, room, "**", "*.[ch]"), recursive=True):
            yield os.path.relpath(path, SRC)


def main():
    files = {path: open(os.path.join(SRC, path), encoding="utf-8").read() for path in sorted(sources())}
    results = []
    for title, where, banned in RULES:
        broken = ["%s includes %s" % (path, inc) for path, text in files.items() if re.match(where, path)
                  for inc in INCLUDE.findall(text) if re.match(banned, inc)]
        results.append((title, broken))
    results.append(("no #ifdef for an ISA", [p for p, text in files.items() if ISA_IFDEF.search(text)]))
    raw = {path for path, text in files.items() if re.match(r"(vmm|arch|devices)/.*\.c$", path) and RAW_POINTER.search(text)}
    results.append(("only files that say why have pointers into guest memory", sorted(
        ["%s has one; copy by memory_read()" % path for path in raw - set(RAW_POINTERS)]
        + ["%s has none any more; take it off the list" % path for path in set(RAW_POINTERS) - raw])))
    own = []
    for path, text in files.items():
        header = path[:-2] + ".h"
        includes = INCLUDE.findall(text)
        if path.endswith(".c") and header in files and (not includes or includes[0] != header):
            own.append("%s does not include %s first" % (path, header))
    results.append(("a .c includes its own header first", own))
    print("1..%d" % len(results))
    for number, (title, broken) in enumerate(results, 1):
        print("%sok %d - %s" % ("not " if broken else "", number, title))
        for line in broken:
            print("#   " + line)
    return any(broken for _, broken in results)


if __name__ == "__main__":
    sys.exit(main())
