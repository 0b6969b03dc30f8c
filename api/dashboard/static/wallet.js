/* Signing typed data with the wallet of this browser: https://eips.ethereum.org/EIPS/eip-1193 */
"use strict";
(() => {
  const tell = (text) => {
    const place = document.getElementById("wallet-says");
    place.hidden = !text;
    place.textContent = text;
  };

  const sign = async (form) => {
    if (!window.ethereum) throw new Error("There is no wallet in this browser.");
    const typed = form.dataset.typed;
    const chain = BigInt(JSON.parse(typed).domain.chainId);
    const [account] = await window.ethereum.request({ method: "eth_requestAccounts" });
    const on = BigInt(await window.ethereum.request({ method: "eth_chainId" }));
    if (on !== chain) throw new Error(`Your wallet is on chain ${on}: switch it to chain ${chain}.`);
    return window.ethereum.request({ method: "eth_signTypedData_v4", params: [account, typed] });
  };

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-signs]");
    if (!button) return;
    const form = button.closest("form");
    button.disabled = true;
    tell("");
    try {
      form.elements.signature.value = await sign(form);
      form.requestSubmit();
    } catch (error) {
      tell(error && error.code === 4001 ? "You did not sign." : `Not signed: ${error.message}`);
    } finally {
      button.disabled = false;
    }
  });
})();
