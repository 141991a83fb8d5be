import { randomBytes } from "node:crypto";

// Polynomials over GF(2), a bit a coefficient. restic cuts chunks with one of degree 53 that is kept in the config;
// ours are cut otherwise, but a client of restic that writes into the repository needs it.

const degree = 53;

function degreeOf(polynomial: bigint): number {
  return polynomial === 0n ? -1 : polynomial.toString(2).length - 1;
}

function modulo(dividend: bigint, divisor: bigint): bigint {
  const divisorDegree = degreeOf(divisor);
  let rest = dividend;
  for (let at = degreeOf(rest); at >= divisorDegree; at = degreeOf(rest)) rest ^= divisor << BigInt(at - divisorDegree);
  return rest;
}

function gcd(a: bigint, b: bigint): bigint {
  let [left, right] = [a, b];
  while (right !== 0n) [left, right] = [right, modulo(left, right)];
  return left;
}

/** The square: coefficients spread out, with zeros between. */
function square(polynomial: bigint): bigint {
  let result = 0n;
  for (let at = 0; at <= degreeOf(polynomial); at += 1) {
    if (((polynomial >> BigInt(at)) & 1n) === 1n) result |= 1n << BigInt(2 * at);
  }
  return result;
}

/** Ben-Or's test: no common factor with x^(2^i) - x for i up to half the degree. */
export function isIrreducible(polynomial: bigint): boolean {
  if (degreeOf(polynomial) < 1) return false;
  let power = 2n;
  for (let i = 1; i <= degreeOf(polynomial) / 2; i += 1) {
    power = modulo(square(power), polynomial);
    if (gcd(polynomial, power ^ 2n) !== 1n) return false;
  }
  return true;
}

/** A random irreducible polynomial of degree 53 with constant term 1. */
export function randomPolynomial(): bigint {
  for (;;) {
    const bits = randomBytes(8).readBigUInt64BE(0);
    const candidate = (bits & ((1n << BigInt(degree + 1)) - 1n)) | (1n << BigInt(degree)) | 1n;
    if (isIrreducible(candidate)) return candidate;
  }
}
