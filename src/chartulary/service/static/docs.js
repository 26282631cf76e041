// Starts Swagger UI, which comes with this server and asks no other.
"use strict";
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger",
  validatorUrl: null,
  docExpansion: "list",
  defaultModelsExpandDepth: -1,
});

// It leaves fields without a name that a screen reader could say.
new MutationObserver(() => {
  for (const field of document.querySelectorAll("#swagger .opblock-body :is(input, select, textarea):not([aria-label])")) {
    field.setAttribute("aria-label", field.closest("[data-param-name]")?.dataset.paramName || "Request body");
  }
}).observe(document.getElementById("swagger"), { childList: true, subtree: true });
