import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeComponent } from "../component/conformance/index.ts";
import { FileComponent } from "./conformance/file-component.ts";

describeComponent("The engine tests' file component", async () => {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-file-component-"));
  const component = new FileComponent(folder, "data");
  return {
    atomicFreeze: true,
    source: () => component.source(),
    target: () => component.target(),
    mutate: async (n) => {
      component.data = `${component.data ?? ""}change ${n}\n`;
    },
    liveState: async () => (component.data ?? "missing").replaceAll(/^record \d+\n/gm, ""),
    startLoad: async () => {
      let acknowledged = 0;
      const timer = setInterval(() => {
        component.data = `${component.data ?? ""}record ${acknowledged + 1}\n`;
        acknowledged += 1;
      }, 1);
      return {
        acknowledged: () => acknowledged,
        stop: async () => clearInterval(timer),
      };
    },
    loadRecords: async () => {
      const found = [...(component.data ?? "").matchAll(/^record (\d+)$/gm)].map(([, number]) => Number(number));
      return found;
    },
    destroyData: async () => rmSync(component.file, { force: true }),
    leftovers: async () => readdirSync(folder).filter((name) => name !== "data"),
    dispose: async () => rmSync(folder, { recursive: true, force: true }),
  };
});
