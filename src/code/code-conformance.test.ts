import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { SourceId } from "../base/index.ts";
import { describeComponent } from "../component/conformance/index.ts";
import { folderFactory } from "../filetree/conformance/index.ts";
import { CodeSource, CodeTarget } from "./index.ts";

const id = "code:app" as SourceId;

describeComponent(
  "deployed code with a Git folder and a mount in it",
  folderFactory({
    source: (root) => new CodeSource({ id, root, mounts: [join(root, "media")] }),
    target: (root) => new CodeTarget({ id, root, mounts: [join(root, "media")] }),
    prepare: async (root) => {
      for (const folder of [".git", "media"]) await mkdir(join(root, folder));
      await writeFile(join(root, ".git", "HEAD"), "ref: refs/heads/main\n");
      await writeFile(join(root, "media", "upload"), "not the code's");
    },
    rootStays: true,
  }),
);
describeComponent(
  "deployed code alone in its folder",
  folderFactory({
    source: (root) => new CodeSource({ id, root }),
    target: (root) => new CodeTarget({ id, root }),
  }),
);
