import { setFlagsFromString } from "node:v8";

let isSet = false;

/**
 * Before threads are started that run sources as they are. Node strips their types with WebAssembly that calls JavaScript
 * often, and V8 aborts the process now and then when threads compile such calls at the same time ("jit_page.has_value()",
 * https://github.com/nodejs/node/issues/64500). Nothing is lost by not compiling them; compiled packages strip no types.
 */
export function stripTypesSafely(): void {
  if (isSet) return;
  isSet = true;
  setFlagsFromString("--wasm-wrapper-tiering-budget=2147483647");
}
