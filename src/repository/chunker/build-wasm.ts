import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { main } from "assemblyscript/asc";

const source = fileURLToPath(new URL("./assembly/gear-chunker.ts", import.meta.url));

/** Memory of one chunker: 4 KiB for the table, then the buffer, in pages of 64 KiB. */
const memoryPages = 257;

/** Compiles assembly/gear-chunker.ts; the same source gives the same bytes. */
export async function buildChunker(): Promise<Uint8Array> {
  const outputs = new Map<string, Uint8Array>();
  const { error } = await main(
    [
      source,
      "--outFile",
      "gear-chunker.wasm",
      "--runtime",
      "stub",
      "--noAssert",
      "-O3",
      "--memoryBase",
      "2048",
      "--initialMemory",
      String(memoryPages),
      "--maximumMemory",
      String(memoryPages),
    ],
    {
      writeFile: (name: string, contents: Uint8Array | string) => {
        outputs.set(name, typeof contents === "string" ? Buffer.from(contents) : contents);
      },
    },
  );
  const wasm = outputs.get("gear-chunker.wasm");
  if (error !== null || wasm === undefined) {
    throw new Error(`assembly/gear-chunker.ts does not compile:\n${String(error)}`, { cause: error });
  }
  return wasm;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await writeFile(new URL("./gear-chunker.wasm", import.meta.url), await buildChunker());
}
