#!/bin/sh
# Puts Bochs 3.0 into a folder, installing nothing: no root needed.
#
#	sh tests/setup-bochs.sh CACHEDIR
#
#	CACHEDIR/bochs/bochs	the program
#	CACHEDIR/bochs/ld.so	the loader to start it with, of the same libc
#	CACHEDIR/bochs/lib/	all libraries it needs, and nothing else
#	CACHEDIR/bochs/plugins/	its devices
#	CACHEDIR/bochs/release	its version; written last
#
# Debian trixie has that version. Older ones (bookworm: 2.7) sometimes report a
# single-step that did not step, and 3.1 does not boot Debian's kernel. So it is
# taken from trixie on every Debian, with apt and its signatures, but with
# sources derived from this host's own and an apt state of its own.
# Status: 0 it is there, 1 it is not (said on stderr), 2 usage.

set -u
SUITE=trixie
WANTED=3.0
LIBDIR=usr/lib/x86_64-linux-gnu
# what bochs.py configures; the plugins of sound cards and network want much more
PLUGINS="biosdev cmos dma extfpuirq floppy gameport harddrv ioapic iodebug keyboard
	parallel pci pic pit serial sounddummy speaker term_gui textconfig unmapped vga"
work=

say() { echo "tests/setup-bochs.sh: $*" >&2; }
die() { say "$*"; exit 1; }
cleanup() { [ -z "$work" ] || rm -rf "$work"; }
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

if [ $# -ne 1 ]; then
	say "usage: sh tests/setup-bochs.sh CACHEDIR"
	exit 2
fi
dest=$1/bochs
[ ! -e "$dest/release" ] || exit 0
[ "$(uname -m)" = x86_64 ] || die "missing: Bochs $WANTED (this host is not x86_64)"
for tool in apt-get apt-cache dpkg-deb; do
	command -v $tool >/dev/null 2>&1 ||
		die "missing: Bochs $WANTED (no $tool here to fetch Debian $SUITE's with)"
done
mkdir -p "$1" || exit 1
work=$(mktemp -d "$1/bochs.tmp.XXXXXX") || exit 1
work=$(cd "$work" && pwd)

# Debian's main suite is the one that the host's name is; its stanzas and lines,
# with that suite's name changed, are $SUITE's.
codename=$(. /etc/os-release 2>/dev/null && [ "${ID:-}" = debian ] && echo "${VERSION_CODENAME:-}")
[ -n "$codename" ] || die "missing: Bochs $WANTED (not a Debian system; Debian $SUITE has it)"
mkdir -p "$work/parts" "$work/lists/partial" "$work/archives/partial" "$work/root"
: >"$work/status"
for f in /etc/apt/sources.list.d/*.sources; do
	[ ! -e "$f" ] || sed 's/[ \t]*$//' "$f" | awk -v code="$codename" -v to=$SUITE '
		BEGIN { RS = ""; FS = "\n" }
		{
			mine = main = off = 0
			text = ""
			for (i = 1; i <= NF; i++) {
				line = $i
				if (line ~ /^#/) continue
				if (line ~ /^Enabled:[ \t]*no/) off = 1
				if (line ~ /^Components:.* main( |$)/) main = 1
				if (line ~ /^Suites:/) {
					n = split(line, w, /[ \t]+/)
					for (j = 2; j <= n; j++) if (w[j] == code) mine = 1
					line = "Suites: " to
				}
				text = text line "\n"
			}
			if (mine && main && !off) print text
		}' >>"$work/parts/bochs.sources"
done
for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
	[ ! -e "$f" ] || awk -v code="$codename" -v to=$SUITE '
		$1 == "deb" && / main( |$)/ {
			for (i = 2; i < NF; i++)
				if ($i == code) { $i = to; print; next }
		}' "$f" >>"$work/parts/bochs.list"
done
grep -q "$SUITE" "$work"/parts/* 2>/dev/null ||
	die "missing: Bochs $WANTED (no apt source of Debian's main suite here to derive $SUITE's from)"

# An apt that knows of no installed package, so that nothing of the host is mixed in.
apt_private() {
	tool=$1
	shift
	$tool -q -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$work/parts" \
		-o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null \
		-o Dir::State="$work" -o Dir::State::Lists="$work/lists" \
		-o Dir::State::Status="$work/status" -o Dir::Cache="$work" \
		-o APT::Architecture=amd64 -o APT::Architectures=amd64 -o APT::Sandbox::User=root \
		-o Acquire::Languages=none -o Acquire::Retries=2 -o Debug::NoLocking=true "$@"
}

apt_private apt-get update >"$work/log" 2>&1 ||
	die "apt-get update: $(grep -m1 '^[EW]:' "$work/log")"
version=$(apt_private apt-cache policy bochs | sed -n 's/^ *Candidate: //p')
case $version in
$WANTED*) ;;
*) die "missing: Bochs $WANTED ($SUITE's source here has ${version:-none})";;
esac

# The dependencies are a desktop's; only libraries of them are fetched.
say "fetching Bochs $version and its libraries (about 40 MB) into $dest"
names=$(apt_private apt-get install --print-uris -y --no-install-recommends bochs bochs-term 2>>"$work/log" |
	sed -n "s/^'[^']*' \([^_ ]*\)_.*/\1/p" | grep -E '^(bochs|bochs-term|lib.*|zlib1g)$')
(cd "$work/archives" && apt_private apt-get download $names >"$work/log" 2>&1) ||
	die "download: $(grep -m1 '^[EW]:' "$work/log")"
for deb in "$work"/archives/*.deb; do
	dpkg-deb -x "$deb" "$work/root" || die "$(basename "$deb"): cannot be unpacked"
done

# Of these, keep what the loader says is needed.
root=$work/root
new=$work/new
mkdir -p "$new/lib" "$new/plugins"
cp -L "$root/usr/lib64/ld-linux-x86-64.so.2" "$new/ld.so" &&
	cp "$root/usr/bin/bochs-bin" "$new/bochs" || die "not the files expected in Bochs $version"
for p in $PLUGINS; do
	for f in "$root/$LIBDIR/bochs/plugins/libbx_$p".*; do
		[ ! -e "$f" ] || cp -d "$f" "$new/plugins/"
	done
done
for f in "$new/bochs" "$new"/plugins/*.so; do
	"$new/ld.so" --library-path "$root/$LIBDIR:$root/$LIBDIR/pulseaudio" --list "$f" ||
		say "${f##*/}: the loader cannot resolve it"
done | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p' | grep -v "^$new/ld.so" | sort -u >"$work/needed"
if grep -v "^$root/" "$work/needed" >"$work/foreign"; then
	die "not among the fetched packages: $(tr '\n' ' ' <"$work/foreign")"
fi
while read -r lib; do
	cp -L "$lib" "$new/lib/" || exit 1
done <"$work/needed"
LTDL_LIBRARY_PATH="$new/plugins" LC_ALL=C "$new/ld.so" --library-path "$new/lib" "$new/bochs" \
	--help cpu >"$work/log" 2>&1 </dev/null
grep -q corei7_haswell_4770 "$work/log" ||
	die "Bochs $version does not start: $(grep -v '^=*$' "$work/log" | tail -n 1)"
echo "$version" >"$new/release"
rm -rf "$dest" && mv "$new" "$dest"
