// JAX's random numbers, so that a seed here draws what it draws in Python: jax.random.key, fold_in and normal with
// the default generator, Threefry-2x32 of 20 rounds (Salmon et al. 2011), counters as jax_threefry_partitionable has them.

const ROTATIONS = [[13, 15, 26, 6], [17, 29, 16, 24]];
const rotated = (x, by) => (x << by) | (x >>> (32 - by));

function threefry([k0, k1], x0, x1) {
  const keys = [k0, k1, k0 ^ k1 ^ 0x1bd11bda];
  x0 = (x0 + keys[0]) | 0;
  x1 = (x1 + keys[1]) | 0;
  for (let round = 0; round < 5; round++) {
    for (const by of ROTATIONS[round % 2]) {
      x0 = (x0 + x1) | 0;
      x1 = rotated(x1, by) ^ x0;
    }
    x0 = (x0 + keys[(round + 1) % 3]) | 0;
    x1 = (x1 + keys[(round + 2) % 3] + round + 1) | 0;
  }
  return [x0, x1];
}

export const key = (seed) => [0, seed];
export const foldIn = (key, number) => threefry(key, 0, number);

const float = new Float32Array(1), bits = new Uint32Array(float.buffer);
const LOWEST = -0.99999994;                             // the float32 after -1

// n numbers of jax.random.normal(key, shape): float32, sqrt(2) erfinv(u), u uniform in (-1, 1)
export function normal(key, n) {
  return Float32Array.from({ length: n }, (_, i) => {
    const [high, low] = threefry(key, 0, i);
    bits[0] = ((high ^ low) >>> 9) | 0x3f800000;        // in [1, 2)
    return Math.SQRT2 * erfinv(Math.max(LOWEST, Math.fround((float[0] - 1) * 2 + LOWEST)));
  });
}

// Giles 2012, "Approximating the erfinv function": the polynomials that XLA has for float32
const CENTRE = [2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503,
  -0.00417768164, 0.246640727, 1.50140941];
const TAIL = [-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613,
  0.00943887047, 1.00167406, 2.83297682];

function erfinv(x) {
  let w = -Math.log1p(-x * x);
  const tail = w >= 5;
  w = tail ? Math.sqrt(w) - 3 : w - 2.5;
  return x * (tail ? TAIL : CENTRE).reduce((sum, factor) => sum * w + factor, 0);
}
