#!/usr/bin/env node
// Old syntax only: this file has to run on any Node, to say that it is too old.
"use strict";
var major = Number(process.versions.node.split(".")[0]);
if (major < 24) {
  process.stderr.write(
    "holdfast: needs Node.js 24 or newer; this is " + process.versions.node + " (" + process.execPath + ").\n" +
      "  Install Node.js 24, or use npx holdfast inside a checkout.\n"
  );
  process.exit(1);
}
// What was compiled once is kept beside the program, if that can be written.
var program = process.getBuiltinModule("fs").realpathSync(process.argv[1]);
process
  .getBuiltinModule("module")
  .enableCompileCache(process.getBuiltinModule("path").join(program, "../../dist/compile-cache"));
// Until the program listens itself: nothing has been begun by then, so there is nothing to undo.
var signals = ["SIGINT", "SIGTERM", "SIGHUP"];
function interrupted() {
  process.exit(130);
}
signals.forEach(function (signal) {
  process.on(signal, interrupted);
});
import("../dist/program/holdfast.js")
  .then(
    function (main) {
      return main;
    },
    function (error) {
      // A checkout that was not built runs its sources.
      if (error.code !== "ERR_MODULE_NOT_FOUND" || String(error.url).indexOf("/dist/program/holdfast.js") === -1) {
        throw error;
      }
      return import("../src/main/holdfast.ts");
    }
  )
  .then(function (main) {
    var running = main.run();
    signals.forEach(function (signal) {
      process.removeListener(signal, interrupted);
    });
    return running;
  })
  .catch(function (error) {
    process.stderr.write("holdfast: cannot start: " + ((error && error.stack) || error) + "\n");
    process.exit(1);
  });
