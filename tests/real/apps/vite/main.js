import "./style.css";
import { text } from "./message.js";

const show = (text) => (document.querySelector("#text").textContent = text);
show(text);

import.meta.hot.accept("./message.js", ({ text }) => show(text));

// For a test to wait for.
window.updated = new Promise((resolve) => import.meta.hot.on("vite:afterUpdate", resolve));
