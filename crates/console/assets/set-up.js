// Opens an invitation. Its token follows the "#" of the link, which browsers send to no server and so to no log on the
// way; here it goes into the body of a request.
"use strict";

const form = document.querySelector("#open-invitation");
const token = new URLSearchParams(location.hash.slice(1)).get("token");
if (token) {
  form.elements.token.value = token;
  history.replaceState(null, "", location.pathname);
  form.submit();
}
