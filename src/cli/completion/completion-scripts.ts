/** Shells whose completion there is a script for. */
export const shells = ["bash", "zsh"] as const;
export type Shell = (typeof shells)[number];

/** The first word of a command line by which the scripts ask what may come next. */
export const completeWord = "__complete";

// Words of the line as they stand: bash's own words are split at every colon and equals sign, and what it replaces is the last piece.
const bash = `# bash completion of holdfast. Load it with:  source <(holdfast completion bash)
_holdfast() {
  local line="\${COMP_LINE:0:COMP_POINT}" words current prefix
  read -ra words <<< "$line"
  [[ "$line" =~ [[:space:]]$ ]] && words+=("")
  current="\${words[-1]}"
  mapfile -t COMPREPLY < <("$1" ${completeWord} "\${words[@]:1}" 2>/dev/null)
  prefix="\${current%"\${current##*[:=]}"}"
  COMPREPLY=("\${COMPREPLY[@]#"$prefix"}")
}
complete -o default -F _holdfast holdfast
`;

const zsh = `#compdef holdfast
# zsh completion of holdfast. Load it with:  source <(holdfast completion zsh)
_holdfast() {
  local -a found
  found=("\${(@f)$("\${words[1]}" ${completeWord} "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  found=("\${(@)found:#}")
  if (( \${#found} )); then compadd -a found; else _files; fi
}
compdef _holdfast holdfast
`;

/** The shell's script, which asks the program itself at every completion. */
export const completionScript = (shell: Shell): string => ({ bash, zsh })[shell];
