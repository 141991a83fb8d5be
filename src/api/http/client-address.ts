import { BlockList, isIP } from "node:net";

/** Proxies that may say for whom they ask. Addresses or networks: "10.0.0.0/8", "::1". */
export class TrustedProxies {
  readonly #list = new BlockList();

  /** @throws TypeError for what is no address or network; the configuration has checked it */
  constructor(networks: readonly string[]) {
    for (const network of networks) {
      const [address = "", prefix] = network.split("/");
      const family = isIP(address) === 6 ? "ipv6" : "ipv4";
      if (prefix === undefined) this.#list.addAddress(address, family);
      else this.#list.addSubnet(address, Number(prefix), family);
    }
  }

  /**
   * The address that a request came from: of X-Forwarded-For the last entry that no trusted proxy has, and only if the peer is
   * one. What comes before it anybody can have written.
   */
  clientAddress(peer: string | undefined, forwardedFor: string | undefined): string {
    let address = plainAddress(peer ?? "");
    const hops = (forwardedFor ?? "").split(",").map((hop) => plainAddress(hop.trim()));
    while (hops.length > 0 && this.#trusts(address)) {
      const next = hops.pop() ?? "";
      if (isIP(next) === 0) break;
      address = next;
    }
    return address;
  }

  #trusts(address: string): boolean {
    const family = isIP(address);
    return family !== 0 && this.#list.check(address, family === 6 ? "ipv6" : "ipv4");
  }
}

/** IPv4 in IPv6's clothes is IPv4. */
const plainAddress = (address: string): string => address.replace(/^::ffff:(?=\d+\.)/i, "");
