import { describeGateway } from "../conformance/gateway-conformance.ts";
import { startTestGateway } from "../conformance/test-gateway.ts";

describeGateway("the built-in gateway", async () => {
  const tested = await startTestGateway();
  const { application, gateway, url } = tested;
  const occupied: Promise<string>[] = [];
  return {
    gateway,
    send: async () => (await fetch(`${url}/`)).status,
    occupy: async (durationMs) => {
      const before = application.seen.length;
      // A test may end, and the gateway with it, before this request does.
      occupied.push(fetch(`${url}/slow?ms=${durationMs}`).then((response) => response.text()));
      while (application.seen.length === before) await new Promise((resolve) => setTimeout(resolve, 2));
    },
    isHeld: async () => ["held", "draining"].includes((await gateway.status()).state),
    stop: async () => {
      const ended = Promise.allSettled(occupied);
      await tested[Symbol.asyncDispose]();
      await ended;
    },
  };
});
