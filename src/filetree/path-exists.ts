import { lstatSync } from "node:fs";

/**
 * Whether something is there, a link to nothing included. Not `existsSync`, which takes whatever it may not look at for missing,
 * and asks as the real user, without the capabilities that a service may have. @throws EACCES
 */
export const pathExists = (path: string | Buffer): boolean => lstatSync(path, { throwIfNoEntry: false }) !== undefined;
