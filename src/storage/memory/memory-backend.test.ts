import { describeBackend } from "../conformance/backend-conformance.ts";
import { FaultyBackend } from "../faulty/faulty-backend.ts";
import { MemoryBackend } from "./memory-backend.ts";

describeBackend("memory", async () => {
  const backend = new MemoryBackend();
  return { backend, reopen: async () => backend, dispose: async () => undefined };
});

describeBackend("faulty without faults", async () => {
  const backend = new FaultyBackend(new MemoryBackend(), {});
  return { backend, reopen: async () => backend, dispose: async () => undefined };
});
