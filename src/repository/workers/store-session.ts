import { hash } from "node:crypto";
import { HoldfastError } from "../../base/index.ts";
import { GearChunker, gearTable } from "../chunker/gear-chunker.ts";
import { Sealer } from "../crypto/envelope.ts";
import { BlobIndex } from "../index/blob-index.ts";
import type { BlobType } from "../pack/pack-format.ts";
import { compressBlob, compressTree } from "./compression.ts";
import { PackBuilder } from "./pack-builder.ts";
import type { FinishedPack, SessionSetup } from "./protocol.ts";

/** Words of the flow memory. */
export const flowWords = { packsInFlight: 0, failed: 1 } as const;

/** One worker's part in one writer: what is claimed here goes into this worker's packs. */
export class StoreSession {
  readonly #index: BlobIndex;
  readonly #flow: Int32Array;
  readonly #maxPacksInFlight: number;
  readonly #packs: Readonly<Record<BlobType, PackBuilder>>;
  readonly #table: Uint8Array;
  readonly #send: (pack: FinishedPack) => void;
  #chunker: GearChunker | undefined;

  constructor(
    { session, key }: SessionSetup,
    store: NonNullable<SessionSetup["store"]>,
    send: (pack: FinishedPack) => void,
  ) {
    this.#index = new BlobIndex(store.index);
    this.#flow = new Int32Array(store.flow);
    this.#maxPacksInFlight = store.maxPacksInFlight;
    this.#table = gearTable(key);
    this.#send = send;
    const common = { session, sealer: new Sealer(key), targetBytes: store.packBytes };
    const finished = (pack: FinishedPack): void => this.#handOver(pack);
    this.#packs = {
      data: new PackBuilder({ ...common, type: "data", finished }),
      tree: new PackBuilder({ ...common, type: "tree", finished }),
    };
  }

  get chunker(): GearChunker {
    this.#chunker ??= new GearChunker(this.#table);
    return this.#chunker;
  }

  /** Stores the blob unless it is known, and returns its id. `bytes` are not needed afterwards. */
  store(type: BlobType, bytes: Uint8Array): Buffer {
    const id = hash("sha256", bytes, "buffer");
    if (!this.#index.claim(type, id)) return id;
    const frame = type === "tree" ? compressTree(bytes) : compressBlob(bytes);
    if (frame === undefined) this.#packs[type].add(id, bytes, 0);
    else this.#packs[type].add(id, frame, bytes.length);
    return id;
  }

  flush(): void {
    this.#packs.data.finish();
    this.#packs.tree.finish();
  }

  /** Blocks this thread until the main thread has saved enough of the packs it was given. */
  #handOver(pack: FinishedPack): void {
    const { packsInFlight, failed } = flowWords;
    for (;;) {
      if (Atomics.load(this.#flow, failed) !== 0) {
        throw new HoldfastError("INTERRUPTED", "The writer has failed or was closed; its work was dropped.");
      }
      const inFlight = Atomics.load(this.#flow, packsInFlight);
      if (inFlight >= this.#maxPacksInFlight) {
        Atomics.wait(this.#flow, packsInFlight, inFlight, 1000);
      } else if (Atomics.compareExchange(this.#flow, packsInFlight, inFlight, inFlight + 1) === inFlight) {
        break;
      }
    }
    this.#send(pack);
  }
}
