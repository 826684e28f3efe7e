# bash completion of minivmm(1)

_minivmm_files()
{
	local prefix=$1 word=$2
	compopt -o filenames 2>/dev/null
	mapfile -t COMPREPLY < <(compgen -P "$prefix" -f -- "$word")
}

_minivmm_words()
{
	mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2")
	[[ ${COMPREPLY[0]} == *: ]] && compopt -o nospace 2>/dev/null
}

_minivmm()
{
	local options='--kernel --boot --initrd --cmdline --kaslr --symbols --mem --cpus --cpu-features --serial
		--gdb --gdb-attach --break --expect --reject --until --ordered --timeout --deadline-between-hits
		--ignore --report --dump --stop-on-fail --job --jobs --probe-host --no-sandbox --verbose --help --version'
	# ':' and '=' are words of their own to bash: put together again what is being typed
	local line=${COMP_LINE:0:COMP_POINT} word option
	word=${line##*[[:space:]]}
	line=${line%"$word"}
	option=${line%"${line##*[![:space:]]}"}
	option=${option##*[[:space:]]}
	if [[ $word == --*=* ]]; then
		option=${word%%=*}
		word=${word#*=}
	fi
	local shown=${COMP_WORDS[COMP_CWORD]}
	local before=${word%"$shown"}
	[[ $shown == [:=] ]] && before=$word

	COMPREPLY=()
	case $option in
	--boot) _minivmm_words 'pvh linux multiboot elf raw' "$word" ;;
	--serial)
		case $word in
		file:* | unix:*) _minivmm_files "${word%%:*}:" "${word#*:}" ;;
		*) _minivmm_words 'stdio null pty file: unix:' "$word" ;;
		esac ;;
	--gdb)
		case $word in
		chardev:*) _minivmm_files chardev: "${word#*:}" ;;
		:* | tcp:*) ;;
		*)
			_minivmm_files '' "$word"
			local files=("${COMPREPLY[@]}")
			_minivmm_words 'stdio tcp: chardev:' "$word"
			COMPREPLY+=("${files[@]}") ;;
		esac ;;
	--until) _minivmm_words 'any all end' "$word" ;;
	--ignore)
		local given=''
		[[ $word == *,* ]] && given=${word%,*},
		mapfile -t COMPREPLY < <(compgen -P "$given" -W 'panic oops lockup' -- "${word##*,}") ;;
	--report)
		case $word in
		junit:* | tap:* | json:*) _minivmm_files "${word%%:*}:" "${word#*:}" ;;
		*)
			_minivmm_files '' "$word"
			local found=("${COMPREPLY[@]}")
			_minivmm_words 'junit: tap: json:' "$word"
			COMPREPLY+=("${found[@]}") ;;
		esac ;;
	--kernel | --initrd | --symbols | --dump | --job) _minivmm_files '' "$word" ;;
	--cmdline | --mem | -m | --cpus | --cpu-features | --break | --expect | --reject | --timeout | \
		--deadline-between-hits | --jobs | -j) return ;;
	*) _minivmm_words "$options -m -j -h" "$word" ;;
	esac
	# bash replaces only the last of its words
	[[ -n $before ]] && COMPREPLY=("${COMPREPLY[@]#"$before"}")
	return 0
}

complete -F _minivmm minivmm
