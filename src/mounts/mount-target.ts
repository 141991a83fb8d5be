import { TreeTarget, type TreeTargetOptions } from "../filetree/index.ts";

export type MountTargetOptions = TreeTargetOptions;

/** A writable folder of an application, as a restore sees it. */
export class MountTarget extends TreeTarget {}
