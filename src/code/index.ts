// The deployed code of an application: its folder without the Git repository and without mounts. It knows neither mounts'
// contents nor services.
export { CodeSource, type CodeSourceOptions } from "./code-source.ts";
export { CodeTarget, type CodeTargetOptions } from "./code-target.ts";
