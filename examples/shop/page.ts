import type { OrderRow } from "./order.ts";

/** The shop's front page. */
export function page(orders: readonly OrderRow[], stores: readonly string[]): string {
  const rows = orders.map(
    (
      order,
    ) => `<tr><td><a href="/orders/${order.id}">${order.id.slice(0, 8)}</a></td><td>${escaped(order.customer)}</td>
<td>${order.quantity} × ${escaped(order.product)}</td><td><a href="/media/${order.id}">photo</a></td>
<td><time>${new Date(order.createdAtMs).toISOString()}</time></td></tr>`,
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Print shop</title>
<style>body{font:16px/1.5 system-ui;max-width:50rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%}td,th{padding:.3rem .6rem;border-bottom:1px solid #ddd;text-align:left}
form{display:grid;gap:.5rem;max-width:20rem}</style></head>
<body><h1>Print shop</h1>
<p>Send a photo, get prints. Every order is in ${stores.map(escaped).join(", ")} and the uploaded files, or it is refused.</p>
<form method="post" action="/orders" enctype="multipart/form-data">
<label>Name <input name="customer" required maxlength="200"></label>
<label>Product <select name="product"><option>postcard</option><option>poster</option><option>mug</option></select></label>
<label>Quantity <input name="quantity" type="number" min="1" max="1000" value="1"></label>
<label>Photo <input name="photo" type="file" required></label>
<button>Order</button></form>
<h2>Newest orders</h2>
<table><tr><th>Order</th><th>Customer</th><th>Product</th><th>Photo</th><th>Time</th></tr>
${rows.join("\n")}
</table></body></html>
`;
}

function escaped(text: string): string {
  const entities: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  return text.replace(/[&<>"]/g, (character) => entities[character] ?? character);
}
