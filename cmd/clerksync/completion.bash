# The program itself says what could come next: a line each, "word:what it is for".
_clerksync() {
  local current="${COMP_WORDS[COMP_CWORD]}" IFS=$'\n'
  local -a before=("${COMP_WORDS[@]:1:COMP_CWORD-1}")
  [[ $current == -* ]] && before+=("$current")
  COMPREPLY=($(compgen -W "$("${1/#\~/$HOME}" "${before[@]}" --generate-shell-completion 2>/dev/null | cut -d: -f1)" -- "$current"))
}
complete -o bashdefault -o default -F _clerksync clerksync
