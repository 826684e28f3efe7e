#!/bin/sh
# Boots the built-in guest with a debugger's socket, plays guests/session.gdb against it and shows the transcript.
# MINIVMM: the program. DEMO: the guest's ELF file with its symbols. GDB: a gdb that knows its ISA.
set -u
dir=$(mktemp -d "${TMPDIR:-/tmp}/minivmm-run.XXXXXX") || exit 1
vmm=
finish() {
	[ -n "$vmm" ] && kill "$vmm" 2>/dev/null
	rm -rf "$dir"
}
trap finish EXIT
trap 'exit 1' INT TERM HUP

if [ ! -w /dev/kvm ]; then
	echo "make run: /dev/kvm is missing or not writable: load the kvm module, or join the group that owns it" >&2
	exit 1
fi
sock=$dir/gdb.sock
echo "\$ minivmm --gdb $sock --serial file:$dir/serial &"
"$MINIVMM" --gdb "$sock" --serial "file:$dir/serial" </dev/null &
vmm=$!
tries=0
while [ ! -S "$sock" ]; do
	tries=$((tries + 1))
	if [ $tries -gt 100 ] || ! kill -0 "$vmm" 2>/dev/null; then
		echo "make run: minivmm did not open its socket" >&2
		exit 1
	fi
	sleep 0.05
done
gdb=${GDB:-gdb}
echo "\$ $gdb $DEMO -ex 'target remote $sock'"
timeout 20 "$gdb" -q -nx -batch -ex "set \$sock = \"$sock\"" -ex 'set trace-commands on' -x guests/session.gdb "$DEMO" \
	>"$dir/transcript" 2>&1 </dev/null
gdb_status=$?
cat "$dir/transcript"
echo "\$ cat $dir/serial"
cat "$dir/serial"
wait "$vmm"
status=$?
vmm=
echo "gdb's exit status: $gdb_status, the guest's: $status"
grep -q 'exited normally' "$dir/transcript" && [ $gdb_status -eq 0 ] && [ $status -eq 0 ]
