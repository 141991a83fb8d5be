const typeLetters: Readonly<Record<string, string>> = {
  file: "-",
  dir: "d",
  symlink: "l",
  dev: "b",
  chardev: "c",
  fifo: "p",
  socket: "s",
};

/** "drwxr-sr-x", as `ls -l` writes it. */
export function modeText({ type, mode }: { readonly type: string; readonly mode: number }): string {
  const special = (bit: number, executable: boolean, letter: string): string => {
    if ((mode & bit) === 0) return executable ? "x" : "-";
    return executable ? letter : letter.toUpperCase();
  };
  const group = (shift: number, bit: number, letter: string): string => {
    const bits = (mode >> shift) & 7;
    return `${bits & 4 ? "r" : "-"}${bits & 2 ? "w" : "-"}${special(bit, (bits & 1) !== 0, letter)}`;
  };
  return (typeLetters[type] ?? "?") + group(6, 0o4000, "s") + group(3, 0o2000, "s") + group(0, 0o1000, "t");
}
