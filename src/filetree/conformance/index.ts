// A folder as a component for the conformance suite: shared by the tests of mounts and code.
export { folderFactory, type FolderUnderTest } from "./folder-under-test.ts";
