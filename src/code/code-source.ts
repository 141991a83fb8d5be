import type { FreezePoint, SourceContext, SourceDescription } from "../component/index.ts";
import { TreeSource, type TreeSourceOptions } from "../filetree/index.ts";
import { apartPaths } from "./apart-paths.ts";
import { isDirty, readCommitId } from "./git-checkout.ts";

export interface CodeSourceOptions extends Omit<TreeSourceOptions, "kind" | "unusable" | "apart"> {
  /** Absolute paths of mounts and of services' files; those in the code's folder are left out. */
  readonly mounts?: readonly string[];
}

/**
 * The deployed code of an application: its folder without ".git" and without mounts. The description's facts say
 * `commitId` ("" if unknown) and `dirty` (true, false, or null if unknown).
 */
export class CodeSource extends TreeSource {
  readonly #root: string;
  #commitId = "";
  #dirty: boolean | undefined;

  constructor(options: CodeSourceOptions) {
    const { mounts, ...rest } = options;
    super({ ...rest, kind: "code", unusable: "CODE_UNUSABLE", apart: apartPaths(options.root, mounts ?? []) });
    this.#root = options.root;
  }

  override async prepare(context: SourceContext): Promise<void> {
    await super.prepare(context);
    this.#commitId = readCommitId(this.#root);
    this.#dirty = await isDirty(this.#root, context.signal);
  }

  override async freeze(deadlineMs: number): Promise<FreezePoint> {
    const point = await super.freeze(deadlineMs);
    const commitId = readCommitId(this.#root);
    // A deploy came in between: what was found out of the other commit no longer tells anything.
    if (commitId !== this.#commitId) this.#dirty = undefined;
    this.#commitId = commitId;
    return point;
  }

  override describe(): SourceDescription {
    const description = super.describe();
    return {
      ...description,
      facts: { ...description.facts, commitId: this.#commitId, dirty: this.#dirty ?? null },
    };
  }
}
