// Run by the test: node-quickbooks, untouched, against the simulator. Prints one JSON object of what happened.
const QuickBooks = require("node-quickbooks");
const util = require("util");

const [url, realm, token] = process.argv.slice(2);
QuickBooks.V3_ENDPOINT_BASE_URL = `${url}/v3/company/`;
const books = new QuickBooks("sandbox-client", "x", token, false, realm, false, false, 75, "2.0", null);
const call = (name, ...args) => util.promisify(books[name]).apply(books, args);

const line = {
  DetailType: "SalesItemLineDetail",
  Amount: 100,
  SalesItemLineDetail: { TaxCodeRef: { value: "6" } },
};

async function main() {
  const done = {};
  const customer = await call("createCustomer", { DisplayName: "Acme & S\u00f6hne" });
  const found = await call("findCustomers", { DisplayName: "Acme & S\u00f6hne" });
  done.found = found.QueryResponse.Customer[0].DisplayName;
  const body = { CustomerRef: { value: customer.Id }, Line: [line] };
  const invoice = await call("createInvoice", body);
  done.count = (await call("findInvoices", { count: true })).QueryResponse.totalCount;
  done.total = invoice.TotalAmt;
  const updated = await call("updateInvoice", { Id: invoice.Id, SyncToken: invoice.SyncToken, sparse: true, PrivateNote: "changed" });
  done.updated = updated.PrivateNote;
  const items = ["1", "2"].map((bId) => ({ bId, operation: "create", Invoice: body }));
  const batch = await call("batch", items);
  done.batch = batch.BatchItemResponse.filter((row) => row.Invoice).map((row) => row.bId);
  const since = new Date(Date.parse(invoice.MetaData.CreateTime) - 3600000);
  const changes = await call("changeDataCapture", ["Invoice"], since);
  done.cdc = changes.CDCResponse[0].QueryResponse[0].Invoice.length;
  const voided = await call("voidInvoice", { Id: updated.Id, SyncToken: updated.SyncToken });
  done.voided = (voided.Invoice || voided).TotalAmt;
  const second = batch.BatchItemResponse[0].Invoice;
  done.deleted = (await call("deleteInvoice", { Id: second.Id, SyncToken: second.SyncToken })).Invoice.status;
  try {
    await call("getInvoice", "99999");
  } catch (error) {
    done.fault = (error.Fault || error.response.data.Fault).Error[0].code;
  }
  done.country = (await call("getCompanyInfo", realm)).Country;
  console.log(JSON.stringify(done));
}

main().catch((error) => {
  console.error(JSON.stringify(error, Object.getOwnPropertyNames(error)));
  process.exit(1);
});
