// What the book's workers load: files, told as they come in, and WebAssembly, packed by gzip.

// The bytes of a file; the page is told {loading, seen, total} on the way
export async function bytes(url, what) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url} did not load (${answer.status} ${answer.statusText}).`);
  const total = Number(answer.headers.get("content-length"));
  const parts = [];
  let seen = 0;
  for (const reader = answer.body.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    seen += value.length;
    postMessage({ loading: what, seen, total });
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

// What gzip has packed; some servers unpack it on the way
export async function unpacked(data) {
  if (data[0] !== 0x1f || data[1] !== 0x8b) return data;
  return new Response(new Blob([data]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

// Throws where the page may not compile the smallest module there is
export function allowed() {
  try {
    new WebAssembly.Module(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0));
  } catch {
    throw new Error("the policy of this server does not let a page run WebAssembly. Whoever runs it can add " +
      "'wasm-unsafe-eval' to script-src of its Content-Security-Policy; or serve the book yourself, by " +
      "“python3 -m http.server” in the folder that holds its index.html.");
  }
}
