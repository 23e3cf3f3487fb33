// The sampler, beside the page so that it never freezes: loads the graphs of ldm/interop/browser.py and runs ldm/diffusion/sampler.py's loop.
//
//     x <- a x + b x0 + c x0_prev + d z        a row of the table is a step; x0 is the guided denoiser's estimate
//
// It is asked {folder, options, caption, network, sampler, steps, guidance, seed} or "stop", the network by its name; it
// answers {loading}, a {step} with its picture, and {latents} at the end, or {error}. Asked for several {runs}, each with
// {network, steps, guidance, cost}, it answers steps with the network of each, and {finished} at the end.
import * as ort from "./ort.wasm.min.js";              // its name ended in .mjs, which some servers send as text
import { allowed, bytes, unpacked } from "./loading.js";
import { foldIn, key, normal } from "./noise.js";

const here = (file) => new URL(file, import.meta.url).href;
const float = (values, ...shape) => new ort.Tensor("float32", Float32Array.from(values), shape);
const pause = () => new Promise((resolve) => setTimeout(resolve));      // lets a "stop" come in

let stopped = false;
let runtime;
const graphs = new Map();

async function start() {
  allowed();
  const wasm = await unpacked(await bytes(here("ort-wasm-simd-threaded.wasm.gz"), "the runtime"));
  ort.env.wasm.wasmBinary = wasm;
  ort.env.wasm.wasmPaths = { mjs: here("ort-wasm-simd-threaded.js") };
  ort.env.wasm.numThreads = 1;                                          // more ask for headers that few servers send
  ort.env.logLevel = "error";
}

async function graph(folder, file, what) {
  await (runtime ??= start());
  if (!graphs.has(file)) {
    const content = await bytes(folder + file, what);
    postMessage({ loading: what, starting: true });
    graphs.set(file, await ort.InferenceSession.create(content, { executionProviders: ["wasm"] }));
  }
  return graphs.get(file);
}

function ids(caption, { ids, length, pad, end }) {
  const row = (words) => [...words.map((word) => ids[word]), end, ...Array(length - words.length - 1).fill(pad)];
  const words = caption.replaceAll(",", " ").toLowerCase().split(/\s+/).filter(Boolean);
  return new ort.Tensor("int32", Int32Array.from([...row(words), ...row([])]), [2, length]);
}

// One picture, step by step: gives {step, t, seconds, picture, latents}
async function* drawing({ folder, options, caption, network, sampler, steps, guidance, seed }) {
  const { file, title } = options.networks.find(({ name }) => name === network);
  const text = await graph(folder, options.text.file, "the network that reads the caption");
  const decoder = await graph(folder, options.decoder.file, "the decoder");
  const denoiser = await graph(folder, file, `the network of ${title}`);
  const { contexts } = await text.run({ ids: ids(caption, options.words) });

  const n = options.latents.reduce((a, b) => a * b);
  const image = foldIn(key(seed), 0);                                   // the key of the seed's first picture
  let x = normal(foldIn(image, 0), n), previous = new Float32Array(n);
  yield { step: 0 };                                                    // everything is there
  for (const [i, [t, skip, out, a, b, c, d]] of options.samplers[sampler][steps].entries()) {
    const began = performance.now();
    const { x0 } = await denoiser.run({
      x: float(x, 1, ...options.latents), t: float([t], 1), c_skip: float([skip]), c_out: float([out]),
      contexts, scale: float([guidance]),
    });
    const seconds = (performance.now() - began) / 1000;
    const estimate = x0.data, z = d ? normal(foldIn(image, i + 1), n) : previous;
    x = x.map((value, k) => a * value + b * estimate[k] + c * previous[k] + d * z[k]);
    previous = estimate.slice();
    const { picture } = await decoder.run({ x0: float(estimate, 1, ...options.latents) });
    yield { step: i + 1, t, seconds, picture: picture.data.slice(), latents: x };
  }
}

async function draw(asked) {
  let last;
  for await (const { latents, ...progress } of drawing(asked)) {
    last = latents;
    if (progress.step) postMessage(progress);
    await pause();
    if (stopped) break;
  }
  postMessage({ latents: last, stopped });
}

// Several networks side by side: the next step is always of the one that has spent least once it is done
async function race({ runs, ...asked }) {
  const lanes = runs.map((run) => ({ ...run, spent: 0, steps_of: drawing({ ...asked, ...run }) }));
  for (const lane of lanes) await lane.steps_of.next();                 // all load before one begins
  for (let left = lanes; left.length && !stopped;) {
    const next = left.reduce((least, lane) => lane.spent + lane.cost < least.spent + least.cost ? lane : least);
    const { value, done } = await next.steps_of.next();
    if (done) { left = left.filter((lane) => lane !== next); continue; }
    next.spent += next.cost;
    postMessage({ network: next.network, spent: next.spent, ...value });
    await pause();
  }
  postMessage({ finished: true, stopped });
}

onmessage = async ({ data }) => {
  if (data === "stop") { stopped = true; return; }
  stopped = false;
  try { await (data.runs ? race(data) : draw(data)); } catch (error) { postMessage({ error: error.message ?? String(error) }); }
};
