#!/usr/bin/env python3
"""Verifies a consent receipt of Scruple: verify.py FILE [KEY]. Python 3 and nothing else; it asks nobody.

It prints "verified: ..." and ends with 0, or "not verified: PART: ..." and ends with 1. With KEY, the ledger's verifier
key, the receipt must be of that ledger; without it the key inside the receipt is used, which shows that the receipt is
whole, but not whose it is. Formats: RFC 8032, 8949, 6962, c2sp.org/tlog-proof and signed-note, W3C DPV 2.3."""
import base64, hashlib, json, re, sys, time

class Fault(Exception): pass
def need(ok, part, why):
    if not ok: raise Fault(part + ": " + why)
def sha(*b): return hashlib.sha256(b"".join(b)).digest()
def unb64(s):  # bytes have one spelling
    b = base64.b64decode(s, validate=True)
    return b if base64.b64encode(b).decode() == s else 1 // 0

# Ed25519
P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D, I = -121665 * pow(121666, -1, P) % P, pow(2, (P - 1) // 4, P)
def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    return (b - a) * (d - c) % P, (d + c) * (b + a) % P, (d - c) * (d + c) % P, (b - a) * (b + a) % P
def mul(n, p):
    q = (0, 1, 1, 0)
    while n:
        p, n, q = add(p, p), n >> 1, add(q, p) if n & 1 else q
    return q
def point(b):
    sign, y = b[31] >> 7, int.from_bytes(b, "little") & (1 << 255) - 1
    xx = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = next(r for r in (pow(xx, (P + 3) // 8, P), pow(xx, (P + 3) // 8, P) * I % P) if (r * r - xx) % P == 0)
    return (x, y, 1, x * y % P) if x & 1 == sign else (P - x, y, 1, (P - x) * y % P)
def signed(key, msg, sig):
    s, h = int.from_bytes(sig[32:], "little"), int.from_bytes(hashlib.sha512(sig[:32] + key + msg).digest(), "little")
    a, b = mul(s, point(b"\x58" + b"\x66" * 31)), add(point(sig[:32]), mul(h % L, point(key)))
    return s < L and (a[0] * b[2] - b[0] * a[2]) % P == (a[1] * b[2] - b[1] * a[2]) % P == 0

# CBOR: what a record uses, and the encoding of a map of texts
def cbor(b, i=0):
    major, n, i = b[i] >> 5, b[i] & 31, i + 1
    if n > 23: n, i = int.from_bytes(b[i:i + (1 << n - 24)], "big"), i + (1 << n - 24)
    if major == 0: return n, i
    if major in (2, 3): return b[i:i + n] if major == 2 else b[i:i + n].decode(), i + n
    if major == 7: return {20: False, 21: True}[n], i
    m = {}
    for _ in range(n): k, i = cbor(b, i); m[k], i = cbor(b, i)
    return m, i
def head(major, n): return bytes([major << 5 | n] if n < 24 else [major << 5 | 24, n] if n < 256 else [major << 5 | 25, n >> 8, n & 255])
def text(s): return head(3, len(s.encode())) + s.encode()

def checkpoint(note, key):  # a signed note: text, empty line, signatures
    name, keyid, public = re.fullmatch(r"([^\s+]+)\+([0-9a-f]{8})\+(\S+)", key).groups()
    public, (body, lines), found = unb64(public), note[:-1].rsplit("\n\n", 1), []
    for who, sig in (re.fullmatch(r"\u2014 ([^\s+]+) (\S+)", line).groups() for line in lines.split("\n")):
        if who == name and unb64(sig)[:4].hex() == keyid: found.append(unb64(sig)[4:])
    origin, size, root = re.fullmatch(r"(.+)\n(0|[1-9][0-9]*)\n(\S{44})", body).groups()
    plain = note[-1] == "\n" and not re.search("[^\n -\U0010ffff]", note)
    return plain and len(public) == 33 and public[0] == 1 and sha(name.encode(), b"\n", public)[:4].hex() == keyid and \
        origin == name and len(found[0]) == 64 and signed(public[1:], (body + "\n").encode(), found[0]) and (int(size), unb64(root))
def head_of_tree(path, h, n, size):  # RFC 9162, 2.1.3.2
    last = size - 1
    for p in path:
        need(last, "proof", "too long")
        h = sha(b"\1", p, h) if n & 1 or n == last else sha(b"\1", h, p)
        while n == last and not n & 1 and n: n, last = n >> 1, last >> 1
        n, last = n >> 1, last >> 1
    return h if last == 0 else None

STATES = {"requested": "Requested", "deferred": "RequestDeferred", "given": "Given", "refused": "Refused", "withdrawn": "Withdrawn",
          "expired": "Expired", "invalidated": "Invalidated"}
def document(s, salt, t, notice):  # the receipt without its evidence is a function of what the evidence proves
    ref, name, region = lambda x: {"@id": x}, s[6] + "/" + s[7], {"@id": "loc:" + t.get("controller.region", "")}
    when = lambda sec: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(sec))
    lang = lambda key: t.get(key + "." + (s[12] or "en"), "")
    def uuid(what):
        u = bytearray(sha(b"scruple-receipt/1 %s\n" % what, salt)[:16])
        u[6], u[8] = u[6] & 15 | 64, u[8] & 63 | 128
        return "urn:uuid:" + "-".join((u[:4].hex(), u[4:6].hex(), u[6:8].hex(), u[8:10].hex(), u[10:].hex()))
    def keep(r): return {"@type": "dpv:UntilEventDuration", "scruple:until": r[6:]} if r.startswith("until ") else \
        {"@type": "dpv:TemporalDuration", "scruple:duration": r}
    def stored(where, r): return [{"@type": "dpv:StorageLocation", "dpv:hasLocation": where},
        {"@type": "dpv:StorageDuration", "dpv:hasLocation": where, "dpv:hasDuration": keep(r)}]
    fields = [k[:-5] for k in sorted(t) if k.startswith("fields.") and k.endswith(".type") and t.get(k[:-5] + ".rule") != "drop"]
    process = {"@type": "dpv:Process", "dct:identifier": name,
        "dpv:hasPurpose": {"@type": t.get("purpose.dpv", "dpv:Purpose"), "dct:description": lang("purpose.text")},
        "dpv:hasPersonalData": [{"@type": "dpv:SensitivePersonalData" if t.get("category.sensitivity") == "sensitive" else "dpv:PersonalData",
            "dct:title": lang(f + ".label"), "skos:broader": ref(t.get(f + ".dpv", "dpv:PersonalData")),
            "dpv:hasNecessity": ref("dpv:Required" if t.get(f + ".required") == "true" else "dpv:Optional")} for f in fields],
        "dpv:hasDataController": [{"@type": "dpv:DataController", "dct:identifier": s[5], "dpv:hasName": lang("controller.name"),
            "dpv:hasAddress": t.get("controller.endpoint", ""), "dpv:hasContact": s[18], "dpv:hasLocation": region}],
        "dpv:hasRecipient": [{"@type": "dpv:DataController", "dpv:hasName": lang("controller.name")}] +
            [{"@type": "dpv:ThirdParty", "dpv:hasName": r} for r in t.get("purpose.recipients", "").split("\n") if r],
        "dpv:hasStorageCondition": stored(ref("dpv:WithinDevice"), t.get("retention.device", "")) + stored(region, t.get("retention.controller", "")),
        "dpv:hasConsentControl": [{"@type": "dpv:" + c + "Consent", "scruple:command": "scruple consent " + v + " " + name,
            "dpv:isExercisedAt": "/v1/consents/" + name + "/" + v} for c, v in (("Withdraw", "withdraw"), ("Refuse", "refuse"), ("Provide", "give"))]}
    by = "dpv:DataSubject" if s[15] else "scruple:Agent" if s[14] == "agent" else "scruple:Application"
    status = {"@type": "dpv:Consent" + STATES[s[3]], "dpv:isIndicatedAtTime": when(s[4]), "dpv:isIndicatedBy": ref(by), "scruple:channel": s[14]}
    if s[3] in ("withdrawn", "invalidated"): status["scruple:erasureAsked"] = "true" if s[16] else "false"
    record = {"@type": "dpv:ConsentRecord", "dct:conformsTo": ref("https://w3id.org/dpv/schema/dpv-27560#record"),
        "dct:identifier": uuid(b"record"), "dpv:hasDataSubject": {"@id": uuid(b"subject"), "@type": "dpv:DataSubject"},
        "dpv:hasJurisdiction": region, "dpv:hasLegalBasis": ref("dpv:ExplicitlyExpressedConsent"), "dpv:hasProcess": [process],
        "dpv:hasDuration": {"@type": "dpv:UntilTimeDuration", "scruple:until": when(s[8])} if s[3] == "given" else
            {"@type": "dpv:UntilEventDuration", "scruple:until": ref("dpv:ConsentGiven")},
        "scruple:policy": s[9], "scruple:policyVersion": str(s[10]), "scruple:terms": t, "dpv:hasConsentStatus": status}
    if any(s[13]): record["dpv:hasNotice"] = {"@type": "dpv:ConsentNotice", "dct:language": s[12], "scruple:text": notice, "scruple:sha256": s[13].hex()}
    if any(s[19]): record["scruple:guardian"] = s[19].hex()
    ns = {"dct": "http://purl.org/dc/terms/", "skos": "http://www.w3.org/2004/02/skos/core#", "scruple": "https://scruple-agent.github.io/ns#",
          "dpv": "https://w3id.org/dpv#", "loc": "https://w3id.org/dpv/loc#", "pd": "https://w3id.org/dpv/pd#",
          "scruple:terms": {"@id": "scruple:terms", "@type": "@json"}}
    return {"@context": ns, "@type": "dpv:ConsentReceipt", "dct:conformsTo": ref("https://w3id.org/dpv/schema/dpv-27560#receipt"),
        "dct:created": when(s[4]), "dct:identifier": uuid(b"receipt"), "dpv:hasRecordOfActivity": [record]}

def differs(path, got, want):
    if type(got) is not type(want) or not isinstance(want, (dict, list)): return None if got == want else path or "the document"
    if len(got) != len(want) or isinstance(want, dict) and got.keys() != want.keys(): return path or "the document"
    keys = want if isinstance(want, dict) else range(len(want))
    return next((d for d in (differs(path + "." + str(k) if path else str(k), got[k], want[k]) for k in keys) if d), None)
def once(pairs):
    need(len(dict(pairs)) == len(pairs), "format", "a key is there twice")
    return dict(pairs)
def texts(v, depth=0): return depth < 17 and (isinstance(v, str) or isinstance(v, (dict, list)) and
    all(texts(x, depth + 1) for x in (v.values() if isinstance(v, dict) else v)))
def attempt(part, why, f):
    try: v = f()
    except Fault: raise
    except Exception: v = None
    need(v, part, why)
    return v

def verify(file, given):
    need(len(file) <= 1 << 20, "format", "too long")
    doc = attempt("format", "not JSON", lambda: json.loads(file.decode(), object_pairs_hook=once))
    need(isinstance(doc, dict) and texts(doc), "format", "not an object of texts, lists and objects")
    e = attempt("format", "evidence", lambda: {k: doc["scruple:evidence"]["scruple:" + k] for k in ("record", "salt", "proof", "key")})
    need(all(isinstance(v, str) for v in e.values()) and doc["scruple:evidence"].get("@type") == "scruple:Evidence" and
        len(doc["scruple:evidence"]) == 5, "format", "evidence")
    record, salt = attempt("format", "not base64", lambda: (unb64(e["record"]), unb64(e["salt"])))
    need(len(salt) == 32, "format", "salt")
    need(e["key"] and given in ("", e["key"]), "key", "it is of another ledger key than the one given, or of none")
    extra, index, path, note = attempt("proof", "layout", lambda: re.fullmatch(r"c2sp.org/tlog-proof@v1\n(?:extra (\S+)\n)?"
        r"index (0|[1-9][0-9]{0,18})\n((?:\S{44}\n){0,63})\n(.*)", e["proof"], re.S).groups())
    path = attempt("proof", "layout", lambda: (unb64(extra or "AA=="), [unb64(h) for h in path.split()]))[1]
    size, root = attempt("checkpoint", "it is not signed by the key", lambda: checkpoint(note, e["key"]))
    n, leaf = int(index), sha(b"\0", sha(salt, record))
    need(n < size and head_of_tree(path, leaf, n, size) == root, "proof", "the record is not at that place of the ledger")
    s = attempt("record", "not a record", lambda: cbor(record)[0])
    need(set(s) == set(range(1, 20)) and s[1] == 2 and s[2] == n and s[3] in STATES and any(s[11]), "record", "not of a consent")
    need(s[3] != "requested" or any(s[13]), "record", "nothing was shown")
    need(s[3] != "given" or any(s[13]) and s[8] > s[4] and s[15] and s[14] in ("cli", "page"), "record", "only a person can give")
    r = attempt("terms", "missing", lambda: doc["dpv:hasRecordOfActivity"][0])
    t = attempt("terms", "missing", lambda: {k: v for k, v in r["scruple:terms"].items() if isinstance(v, str) or 1 // 0})
    encoded = attempt("terms", "not texts", lambda: head(5, len(t)) + b"".join(k + v for k, v in sorted((text(k), text(v)) for k, v in t.items())))
    need(sha(encoded) == s[11], "terms", "not those that the record names")
    notice = attempt("notice", "missing", lambda: r["dpv:hasNotice"]["scruple:text"]) if any(s[13]) else ""
    need(not any(s[13]) or attempt("notice", "text", lambda: sha(notice.encode())) == s[13], "notice", "not the text that was shown")
    path = differs("", doc, {**document(s, salt, t, notice), "scruple:evidence": doc["scruple:evidence"]})
    need(not path, "field", path)
    return "%s %s/%s at %s, record %d of %d" % (s[3], s[6], s[7], doc["dct:created"], n, size)

if __name__ == "__main__":
    try:
        with open(sys.argv[1], "rb") as f: print("verified:", verify(f.read((1 << 20) + 1), sys.argv[2] if len(sys.argv) > 2 else ""))
    except Fault as fault:
        sys.exit(print("not verified:", fault) or 1)
