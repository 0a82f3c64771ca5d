/* Passkeys: hands the forms of a page to django-allauth's WebAuthn functions, and says what went wrong.
   A form names the function by data-passkey; what the server offers stands in #passkey_data. */
"use strict";

(() => {
  const PROBLEMS = {
    NotAllowedError: "The browser was not allowed to use a passkey, or you took too long. Try again.",
    InvalidStateError: "This device has a passkey of your account already.",
    SecurityError: "Passkeys work at this installation's own address only, and need https.",
    NotSupportedError: "This device cannot keep such a passkey.",
  };

  const start = (form) => {
    const credential = form.querySelector('[name="credential"]');
    const passwordless = form.querySelector('[name="passwordless"]');
    const button = form.querySelector("#passkey_start");
    const ids = { add: button.id, authenticate: button.id, login: button.id, credential: credential.id };
    if (passwordless) ids.passwordless = passwordless.id;
    if (document.getElementById("passkey_data")) ids.data = "passkey_data";
    window.allauth.webauthn.forms[form.dataset.passkey]({ ids });
  };

  document.addEventListener("allauth.error", (event) => {
    event.preventDefault();
    const name = event.detail.exception && event.detail.exception.name;
    const words = PROBLEMS[name] || "The passkey could not be used. Try again, or log in another way.";
    document.querySelectorAll("[data-passkey-problem]").forEach((place) => { place.textContent = words; });
  });

  document.querySelectorAll("[data-passkey]").forEach(start);
})();
