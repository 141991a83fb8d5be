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

  /** Is this the address of a proxy that may say things about its requests? */
  has(peer: string | undefined): boolean {
    return this.#trusts(plainAddress(peer ?? ""));
  }

  #trusts(address: string): boolean {
    const family = isIP(address);
    return family !== 0 && this.#list.check(address, family === 6 ? "ipv6" : "ipv4");
  }
}

/** What one client can take its addresses from: an IPv4 address itself, of IPv6 the network of 64 bits. */
export function clientNetwork(address: string): string {
  if (isIP(address) !== 6) return address;
  const [head = "", tail] = (address.split("%")[0] ?? "").split("::");
  const before = head === "" ? [] : head.split(":");
  const after = tail === undefined || tail === "" ? [] : tail.split(":");
  // One that ends like an IPv4 address has one group less than it seems.
  const groups = (list: readonly string[]): number => list.length + (list.at(-1)?.includes(".") === true ? 1 : 0);
  const zeros = tail === undefined ? 0 : 8 - groups(before) - groups(after);
  const all = [...before, ...Array<string>(zeros).fill("0"), ...after];
  return `${all
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(":")}::/64`;
}

/** IPv4 in IPv6's clothes is IPv4. */
const plainAddress = (address: string): string => address.replace(/^::ffff:(?=\d+\.)/i, "");
