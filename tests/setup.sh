#!/bin/sh
# Installs what the tests need, each layer by name; does nothing, quickly,
# where everything is there.
#
#	tests/setup.sh [--cache DIR] [--packages] [LAYER...]
#
# Layers: gdb kvm nested (QEMU and Bochs) fuzz arm64 (to build and test arm64,
# in QEMU), or what this host can use of them: all; and lint. DIR (default
# $BUILD/tests/cache, BUILD defaults to build/ and this host's ISA) gets
# Debian's kernels, unpacked there and never installed:
#
#	linux-amd64/vmlinuz       as packaged (bzImage)
#	linux-amd64/vmlinux       the ELF file inside of it, without symbols
#	linux-amd64/System.map    addresses of all symbols
#	linux-amd64/vmlinux.debug the debug package's, with types and lines
#	linux-amd64/modules/      the modules
#	linux-amd64/release       the kernel's version; written last
#	linux-arm64/              the same (vmlinuz is an Image; vmlinux has symbols)
#	linux-scripts/            the kernel's own gdb scripts, and headers with their constants
#	busybox-arm64             static busybox for arm64
#	bochs/                    see setup-bochs.sh
#
# Packages are installed with apt-get when run as root, else one command line
# to run is printed. The host's own apt sources stay as they are: a private
# list is derived from them for the time of the run, with backports added
# where QEMU has to come from there. --packages: installs packages only, and
# leaves DIR alone (that is the command line that is printed).
# Status: 0 everything is there, 1 something is missing (said on stderr), 2 usage.

set -u
here=$(cd "$(dirname "$0")" && pwd)
host=$(uname -m)
[ "$host" != aarch64 ] || host=arm64
cache=${BUILD:-$(dirname "$here")/build/$host}/tests/cache
# QEMU and Bochs nest this ISA and the other one; the layer arm64 is a nest on any host
nests="nested bochs arm64" arm64_tools=aarch64-linux-gnu-
[ "$host" != arm64 ] || nests=arm64 arm64_tools=
layers= packages_only= missing= want= work= view= jobs= failed=0

say() { echo "tests/setup.sh: $*" >&2; }
fail() { say "$*"; failed=1; }
have() { command -v "$1" >/dev/null 2>&1; }
# need PACKAGE WHAT: remembers a package to install, and what it is for
need() { want="$want $1"; missing="$missing${missing:+, }$2"; }

usage() {
	say "$*"
	say "usage: tests/setup.sh [--cache DIR] [--packages] [all|gdb|kvm|nested|bochs|fuzz|arm64|lint]..."
	exit 2
}

cleanup() {
	[ -z "$jobs" ] || kill $jobs 2>/dev/null
	wait
	rm -rf ${work:+"$work"} "$cache"/*.new.$$
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

# ---- what is missing ----

# QEMU before 10 loses hardware breakpoints of nested guests
qemu_ok() {
	have "$1" || return 1
	v=$("$1" --version | sed -n '1s/.*version \([0-9]*\).*/\1/p')
	[ "${v:-0}" -ge 10 ]
}

# Packages put modules there, whatever python3 comes first in PATH
debian_python() { /usr/bin/python3 -c "import $1" >/dev/null 2>&1; }

# Debian's libc6 package for cross builds has this; the compiler only recommends it
arm64_libc=/usr/aarch64-linux-gnu/lib/libc.a

wants_layer() {
	case " $layers " in *" $1 "*) return 0;; esac
	return 1
}

check_packages() {
	have python3 || need python3 python3
	have gdb || need gdb gdb
	if wants_layer unit || wants_layer kvm; then
		# readers of reports that are not ours
		have prove || need perl "prove (TAP::Parser)"
		have xmllint || need libxml2-utils xmllint
		have jq || need jq jq
		debian_python junitparser || need python3-junitparser "Debian's junitparser"
		debian_python yaml || need python3-yaml "Debian's yaml module"
	fi
	if wants_layer nested || wants_layer bochs; then
		[ -x /bin/busybox ] && [ ! -L /bin/busybox ] && [ -e /usr/share/doc/busybox-static ] ||
			need busybox-static "busybox (static)"
	fi
	if wants_layer nested; then
		qemu_ok qemu-system-x86_64 || need qemu-system-x86 "qemu-system-x86_64 (10 or newer)"
		have crash || need crash crash
	fi
	if wants_layer kvm || wants_layer nested || wants_layer arm64; then
		have lldb || need lldb lldb
	fi
	if wants_layer fuzz; then
		have clang || need clang clang
		fuzzer=$(clang -print-file-name="libclang_rt.fuzzer-$(uname -m).a" 2>/dev/null)
		[ -e "${fuzzer:-/none}" ] || [ -n "$(ls /usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-* 2>/dev/null)" ] ||
			need libclang-rt-dev "libFuzzer's runtime (libclang-rt)"
	fi
	if wants_layer lint; then
		for tool in clang-format clang-tidy cppcheck; do
			have $tool || need $tool $tool
		done
	fi
	if [ "$host" != arm64 ] && { wants_layer arm64 || wants_layer lint; }; then
		have aarch64-linux-gnu-gcc || need gcc-aarch64-linux-gnu aarch64-linux-gnu-gcc
		[ -e $arm64_libc ] || need libc6-dev-arm64-cross "the C library for arm64"
	fi
	if wants_layer arm64; then
		have gdb-multiarch || need gdb-multiarch gdb-multiarch
		qemu_ok qemu-system-aarch64 || need qemu-system-arm "qemu-system-aarch64 (10 or newer)"
	fi
}

# ---- a private view of the host's apt ----

# debian_sources SUITE NAME: writes the host's Debian sources, deb822 and
# one-line alike, into the view's NAME.*; all of them as they are if SUITE is
# empty, else the main one with its suite replaced.
debian_sources() {
	for f in /etc/apt/sources.list.d/*.sources; do
		[ -e "$f" ] || continue
		sed 's/[ \t]*$//' "$f" | awk -v code="$codename" -v to="$1" '
			BEGIN { RS = ""; FS = "\n" }
			{
				suites = comps = ""; keep = 0; text = ""; off = 0
				for (i = 1; i <= NF; i++) {
					line = $i
					if (line ~ /^#/) continue
					if (line ~ /^Enabled:[ \t]*no/) off = 1
					if (line ~ /^Components:.* main( |$)/) comps = 1
					if (line ~ /^Suites:/) {
						n = split(line, w, /[ \t]+/)
						for (j = 2; j <= n; j++)
							if (w[j] == code || (to == "" && index(w[j], code "-") == 1)) keep = 1
						if (to != "") line = "Suites: " to
					}
					text = text line "\n"
				}
				if (keep && comps && !off) print text
			}' >>"$view/parts/$2.sources"
	done
	for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
		[ -e "$f" ] || continue
		awk -v code="$codename" -v to="$1" '
			$1 == "deb" && / main( |$)/ {
				s = 2
				if ($2 ~ /^\[/) while (s < NF && $s !~ /\]$/) s++
				if ($2 ~ /^\[/) s++
				s++
				if ($s == code || (to == "" && index($s, code "-") == 1)) {
					if (to != "") $s = to
					print
				}
			}' "$f" >>"$view/parts/$2.list"
	done
}

# apt with the private lists below $view: the first word is the tool
apt_view() {
	tool=$1
	shift
	$tool -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$view/parts" \
		-o Dir::Etc::Preferences="$view/preferences" -o Dir::State::Lists="$view/lists" \
		-o Dir::Cache="$view/cache" -o APT::Architectures="$architectures" \
		-o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=2 "$@"
}

# A source that fails is said; whether it mattered shows later.
apt_update() {
	apt_view apt-get -qq update >"$work/update.log" 2>&1 ||
		say "apt-get update: $(grep -m1 '^[EW]:' "$work/update.log")"
}

# Makes $work and the first view and fetches the indexes, once; non-zero if there is no apt here.
apt_open() {
	[ -z "$work" ] || return 0
	if ! have apt-get || ! have dpkg-deb || [ ! -r /etc/os-release ]; then
		return 1
	fi
	codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	architectures=$(dpkg --print-architecture; dpkg --print-foreign-architectures)
	for a in amd64 arm64; do
		if [ $a = amd64 ] || wants_layer arm64; then
			case " $(echo $architectures) " in
			*" $a "*) ;;
			*) architectures="$architectures $a";;
			esac
		fi
	done
	architectures=$(echo $architectures | tr ' ' ,)
	work=$(mktemp -d) || return 1
	view=$work/host
	mkdir -p "$view/parts" "$view/lists/partial" "$view/cache/archives/partial"
	: >"$view/preferences"
	debian_sources "" host
	case $want in *qemu*)
		debian_sources "$codename-backports" backports
		# a newer QEMU of the distribution itself still wins
		printf 'Package: qemu-* seabios\nPin: release n=%s\nPin-Priority: 500\n' \
			"$codename-backports" >"$view/preferences";;
	esac
	apt_update
}

install_packages() {
	[ -n "$want" ] || return 0
	if ! have apt-get; then
		fail "missing: $missing; install them with this system's package manager"
	elif [ "$(id -u)" -ne 0 ]; then
		fail "missing: $missing; to install them, run: sudo sh $here/setup.sh --packages $layers"
	else
		say "installing$want"
		apt_open && DEBIAN_FRONTEND=noninteractive apt_view apt-get -y -qq \
			--no-install-recommends -o DPkg::Lock::Timeout=300 \
			install $want >"$work/install.log" 2>&1 </dev/null ||
			fail "apt-get install$want: $(grep -m1 '^E:' "$work/install.log")"
	fi
}

# ---- what goes into the cache ----

# Jobs run side by side: downloads wait for the network, unpacking takes a CPU each. One that is told to end finishes
# the command it is at, so that nothing writes any more where cleanup() removes.
start() {
	( trap 'exit 1' HUP INT TERM; "$@"; exit $failed ) &
	jobs="$jobs $!"
}

finish() {
	for job in $jobs; do
		wait "$job" || failed=1
	done
	jobs=
}

# fetch PACKAGE: the .deb's path, downloaded into $work
fetch() {
	log=$work/${1%%:*}.log
	(cd "$work" && apt_view apt-get -qq download "$1" >"$log" 2>&1) || return 1
	ls "$work"/"${1%%:*}"_*.deb
}

fetch_failed() { fail "download of ${1%%:*}: $(grep -m1 '^E:' "$work/${1%%:*}.log")"; }

# linux-image-cloud-ARCH depends on the current versioned package
kernel_package() {
	apt_view apt-cache --no-all-versions show "linux-image-cloud-$1:$1" 2>/dev/null |
		sed -n "s/^Depends: \(linux-image-[^ ,]*\).*/\1/p" | head -n 1
}

# want_kernel ARCH: starts a job unless it is there
want_kernel() {
	if [ -e "$cache/linux-$1/release" ]; then
		unpack_kernel "$1"
		return
	fi
	name=
	apt_open && name=$(kernel_package "$1")
	if [ -z "$name" ]; then
		fail "missing: Debian's kernel linux-image-cloud-$1 (no apt source of Debian here has it)"
		return
	fi
	start get_kernel "$1" "$name"
}

# get_kernel ARCH PACKAGE
get_kernel() {
	dest=$cache/linux-$1
	say "fetching $2 and its debug symbols (about 310 MB) into $dest"
	if ! deb=$(fetch "$2:$1"); then
		fetch_failed "$2"
		return
	fi
	release=${2#linux-image-}
	new=$dest.new.$$
	rm -rf "$new"
	if ! mkdir -p "$new" || ! dpkg-deb -x "$deb" "$new/x"; then
		fail "cannot unpack $2 into $new"
		return
	fi
	mv "$new/x/boot/vmlinuz-$release" "$new/vmlinuz"
	mv "$new/x/boot/config-$release" "$new/config"
	mv "$new"/x/*/modules/"$release" "$new/modules" 2>/dev/null ||
		mv "$new"/x/usr/lib/modules/"$release" "$new/modules"
	rm -rf "$new/x" "$deb"
	get_debug "$1" "$2-dbg" "$release" "$new"
	echo "$release" >"$new/release"
	rm -rf "$dest" && mv "$new" "$dest"
	unpack_kernel "$1"
}

# vmlinux and System.map; again in a later run where a tool was missing
unpack_kernel() {
	dir=$cache/linux-$1
	case $1 in
	amd64)
		[ -e "$dir/System.map" ] && [ -e "$dir/vmlinux" ] || kernel_files "$dir";;
	arm64)
		[ -e "$dir/System.map" ] || kernel_files "$dir"
		if [ ! -e "$dir/vmlinux" ] && [ -e "$dir/vmlinux.debug" ]; then
			"${arm64_tools}objcopy" --strip-debug "$dir/vmlinux.debug" "$dir/vmlinux" ||
				fail "cannot make $dir/vmlinux"
		fi;;
	esac
}

kernel_files() { python3 -B "$here/nested/vmlinux.py" "$1/vmlinuz" "$1" >&2 || failed=1; }

# get_debug ARCH PACKAGE RELEASE DIR: two files of the debug package; without them tests use addresses only.
get_debug() {
	if ! deb=$(fetch "$2:$1"); then
		fetch_failed "$2"
		return
	fi
	boot=./usr/lib/debug/boot
	dpkg-deb --fsys-tarfile "$deb" 2>/dev/null | tar -x -C "$4" --strip-components=5 \
		--occurrence=1 "$boot/vmlinux-$3" "$boot/System.map-$3"
	mv "$4/vmlinux-$3" "$4/vmlinux.debug" && mv "$4/System.map-$3" "$4/System.map" ||
		fail "$2: no vmlinux in it"
	rm -f "$deb"
	# not needed, but gdb then takes one second to load it and not twenty
	case $1 in
	arm64) index="GDB=gdb-multiarch OBJCOPY=${arm64_tools}objcopy";;
	*) index="GDB=gdb";;
	esac
	env $index gdb-add-index "$4/vmlinux.debug" >/dev/null 2>&1 || true
}

# want_scripts ARCH: those of the kernel that is there, or is to be fetched; starts a job unless they are there
want_scripts() {
	[ ! -e "$cache/linux-scripts/release" ] || return 0
	version=$(cat "$cache/linux-$1/release" 2>/dev/null)
	if apt_open && [ -z "$version" ]; then
		version=$(kernel_package "$1")
		version=${version#linux-image-}
	fi
	version=$(echo "$version" | sed -n 's/^\([0-9]*\.[0-9]*\)[.-].*/\1/p')
	if [ -z "$work" ] || [ -z "$version" ]; then
		fail "missing: scripts/gdb of Debian's linux-source (no apt source of Debian here has it)"
		return
	fi
	start get_scripts "linux-source-$version"
}

# get_scripts PACKAGE: a few files of a whole kernel's source
get_scripts() {
	new=$cache/linux-scripts.new.$$
	say "fetching $1 (about 140 MB) for its gdb scripts into $cache/linux-scripts"
	if ! deb=$(fetch "$1"); then
		fetch_failed "$1"
		return
	fi
	rm -rf "$new"
	mkdir -p "$new" && dpkg-deb --fsys-tarfile "$deb" | tar -xO "./usr/src/$1.tar.xz" | xz -T0 -dc |
		tar -x -C "$new" --strip-components=1 "$1/scripts/gdb" "$1/include/linux/fs.h" \
			"$1/include/linux/mount.h" "$1/include/linux/of_fdt.h" "$1/include/linux/clk-provider.h"
	if [ ! -e "$new/scripts/gdb/vmlinux-gdb.py" ]; then
		fail "$1: no gdb scripts in it"
		return
	fi
	rm -f "$deb"
	echo "$1" >"$new/release"
	rm -rf "$cache/linux-scripts" && mv "$new" "$cache/linux-scripts"
}

bochs() { sh "$here/setup-bochs.sh" "$cache" || failed=1; }

get_busybox_arm64() {
	[ ! -e "$cache/busybox-arm64" ] || return 0
	if apt_open && deb=$(fetch busybox-static:arm64) && dpkg-deb -x "$deb" "$work/bb"; then
		find "$work/bb" -name busybox -type f -exec mv {} "$cache/busybox-arm64" \;
	fi
	[ -e "$cache/busybox-arm64" ] || fail "missing: busybox-static for arm64"
}

while [ $# -gt 0 ]; do
	case $1 in
	--cache) [ $# -gt 1 ] || usage "--cache needs a folder"; cache=$2; shift;;
	--packages) packages_only=1;;
	gdb|unit|fake|kvm|fuzz|bochs|bench|arm64|lint) layers="$layers $1";;
	nested) layers="$layers $nests";;
	all) layers="$layers gdb kvm fuzz $nests";;
	*) usage "unknown layer or option: $1";;
	esac
	shift
done
layers=${layers:-gdb kvm fuzz $nests}
layers=${layers# }

check_packages
install_packages
if [ -z "$packages_only" ] && { wants_layer kvm || wants_layer nested ||
    wants_layer bochs || wants_layer arm64; }; then
	mkdir -p "$cache" || exit 1
	cache=$(cd "$cache" && pwd)
	if have flock && (: >>"$cache/.lock") 2>/dev/null; then
		exec 9>>"$cache/.lock"
		flock 9
		rm -rf "$cache"/*.new.*         # of runs that were killed
	fi
	if [ "$host" = x86_64 ] && { wants_layer kvm || wants_layer nested || wants_layer bochs; }; then
		want_kernel amd64
	fi
	if wants_layer arm64; then
		want_kernel arm64
		get_busybox_arm64
	fi
	if wants_layer arm64; then
		want_scripts arm64
	elif [ "$host" = x86_64 ] && wants_layer nested; then
		want_scripts amd64
	fi
	if wants_layer bochs && [ ! -e "$cache/bochs/release" ]; then
		start bochs
	fi
	finish
fi
exit $failed
