// Mounts: the writable folders of an application, such as uploads. It knows neither code nor services.
export { MountSource, type MountSourceOptions } from "./mount-source.ts";
export { MountTarget, type MountTargetOptions } from "./mount-target.ts";
