#include "storage/s3/s3_xml.hh"

#include <fmt/format.h>

#include <algorithm>
#include <pugixml.hpp>

#include "base/error.hh"
#include "base/text.hh"
#include "base/time_text.hh"

namespace seawall::storage::s3 {
namespace {

// A key may consist of blanks.
constexpr unsigned parse_flags = pugi::parse_default | pugi::parse_ws_pcdata_single;

/// Servers that write a namespace prefix mean the same element.
std::string_view local_name(const pugi::xml_node& node) {
  const std::string_view name = node.name();
  const std::size_t colon = name.find(':');
  return colon == std::string_view::npos ? name : name.substr(colon + 1);
}

pugi::xml_node child(const pugi::xml_node& node, std::string_view name) {
  for (const pugi::xml_node& each : node.children()) {
    if (local_name(each) == name) return each;
  }
  return {};
}

std::string text_of(const pugi::xml_node& node, std::string_view name) { return child(node, name).child_value(); }

[[noreturn]] void refuse(std::string_view what, std::string_view why) {
  throw Error(Errc::corrupt, fmt::format("the server's answer is no {}: {}", what, why));
}

class Document {
 public:
  explicit Document(std::string_view xml) : good_(document_.load_buffer(xml.data(), xml.size(), parse_flags)) {}
  bool good() const noexcept { return good_; }
  pugi::xml_node root() const { return document_.document_element(); }
  pugi::xml_node expect(std::string_view root_name, std::string_view what) const {
    if (!good_) refuse(what, "it is no XML");
    const pugi::xml_node node = root();
    if (local_name(node) != root_name) refuse(what, fmt::format("it is a <{}>", local_name(node).substr(0, 40)));
    return node;
  }

 private:
  pugi::xml_document document_;
  bool good_;
};

Fault fault_of(const pugi::xml_node& error) {
  return {.code = std::string(trim(text_of(error, "Code"))),
          .message = std::string(trim(text_of(error, "Message"))),
          .region = std::string(trim(text_of(error, "Region")))};
}

/// encoding-type=url: '+' is a blank, as in forms. A server that did not take the request's encoding-type says so by
/// not repeating it.
std::string decode(std::string_view text, bool encoded) {
  if (!encoded) return std::string(text);
  std::string plain;
  plain.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      plain += ' ';
    } else if (const auto code = text[i] == '%' && i + 2 < text.size() ? parse_int<unsigned>(text.substr(i + 1, 2), 16)
                                                                       : std::nullopt) {
      plain += static_cast<char>(*code);
      i += 2;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

ObjectInfo object_of(const pugi::xml_node& node, std::string_view kind, bool encoded) {
  ObjectInfo object{.key = decode(text_of(node, "Key"), encoded)};
  if (object.key.empty()) refuse("list of objects", "an object has no Key");
  const auto modified = parse_rfc3339(trim(text_of(node, "LastModified")));
  if (!modified) refuse("list of objects", fmt::format("{} has no LastModified", object.key));
  object.modified = *modified;
  object.deleted = kind == "DeleteMarker";
  if (!object.deleted) {
    const auto bytes = parse_int<std::uint64_t>(trim(text_of(node, "Size")));
    if (!bytes) refuse("list of objects", fmt::format("{} has no Size", object.key));
    object.bytes = *bytes;
  }
  if (kind == "Contents") {
    object.version = bare_tag(text_of(node, "ETag"));
  } else {
    object.version = text_of(node, "VersionId");
    object.latest = trim(text_of(node, "IsLatest")) == "true";
  }
  return object;
}

void append_escaped(std::string& into, std::string_view text) {
  for (const char c : text) {
    switch (c) {
      case '&':
        into += "&amp;";
        break;
      case '<':
        into += "&lt;";
        break;
      case '>':
        into += "&gt;";
        break;
      case '"':
        into += "&quot;";
        break;
      case '\r':
      case '\n':
      case '\t':
        into += fmt::format("&#{};", static_cast<int>(c));
        break;
      default:
        into += c;
    }
  }
}

void append_element(std::string& into, std::string_view name, std::string_view text) {
  into.append(1, '<').append(name).append(1, '>');
  append_escaped(into, text);
  into.append("</").append(name).append(1, '>');
}

constexpr std::string_view head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>";
constexpr std::string_view name_space = " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"";

}  // namespace

std::string_view bare_tag(std::string_view etag) noexcept {
  etag = trim(etag);
  if (etag.starts_with("W/")) etag.remove_prefix(2);
  if (etag.size() >= 2 && etag.starts_with('"') && etag.ends_with('"')) etag = etag.substr(1, etag.size() - 2);
  return etag;
}

Fault parse_fault(std::string_view xml) {
  const Document document(xml);
  if (!document.good() || local_name(document.root()) != "Error") return {};
  return fault_of(document.root());
}

ListPage parse_list(std::string_view xml) {
  constexpr std::string_view what = "list of objects";
  const Document document(xml);
  if (!document.good()) refuse(what, "it is no XML");
  const pugi::xml_node root = document.root();
  const bool versions = local_name(root) == "ListVersionsResult";
  if (!versions) document.expect("ListBucketResult", what);
  const bool encoded = text_of(root, "EncodingType") == "url";
  ListPage page;
  page.truncated = trim(text_of(root, "IsTruncated")) == "true";
  for (const pugi::xml_node& node : root.children()) {
    const std::string_view kind = local_name(node);
    const bool object = versions ? kind == "Version" || kind == "DeleteMarker" : kind == "Contents";
    if (object) page.objects.push_back(object_of(node, kind, encoded));
    if (kind == "CommonPrefixes") page.prefixes.push_back(decode(text_of(node, "Prefix"), encoded));
  }
  // NextMarker and NextKeyMarker are of no use: radosgw does not encode them although it says so.
  if (!page.objects.empty()) page.last = page.objects.back().key;
  if (!page.prefixes.empty()) page.last = std::max(page.last, page.prefixes.back());
  page.token = text_of(root, "NextContinuationToken");
  page.next_version = text_of(root, "NextVersionIdMarker");
  return page;
}

std::string parse_upload_id(std::string_view xml) {
  constexpr std::string_view what = "beginning of an upload";
  std::string id = text_of(Document(xml).expect("InitiateMultipartUploadResult", what), "UploadId");
  if (id.empty()) refuse(what, "it has no UploadId");
  return id;
}

Result parse_result(std::string_view xml) {
  constexpr std::string_view what = "result of an upload or a copy";
  const Document document(xml);
  if (!document.good()) refuse(what, "it is no XML");
  const pugi::xml_node root = document.root();
  const std::string_view name = local_name(root);
  if (name == "Error") {
    Result result{.fault = fault_of(root), .etag = {}};
    if (result.fault.code.empty()) refuse(what, "it is an error without a Code");
    return result;
  }
  if (name != "CompleteMultipartUploadResult" && name != "CopyObjectResult" && name != "CopyPartResult") {
    refuse(what, fmt::format("it is a <{}>", name.substr(0, 40)));
  }
  return {.fault = {}, .etag = std::string(bare_tag(text_of(root, "ETag")))};
}

std::vector<RemovalFault> parse_removals(std::string_view xml) {
  const Document document(xml);
  std::vector<RemovalFault> faults;
  for (const pugi::xml_node& node : document.expect("DeleteResult", "result of a removal").children()) {
    if (local_name(node) == "Error") faults.push_back({text_of(node, "Key"), fault_of(node)});
  }
  return faults;
}

std::string parse_versioning(std::string_view xml) {
  const Document document(xml);
  return std::string(trim(text_of(document.expect("VersioningConfiguration", "state of versioning"), "Status")));
}

ObjectLock parse_object_lock(std::string_view xml) {
  const Document document(xml);
  const pugi::xml_node root = document.expect("ObjectLockConfiguration", "configuration of object lock");
  ObjectLock lock{.enabled = trim(text_of(root, "ObjectLockEnabled")) == "Enabled"};
  const pugi::xml_node rule = child(child(root, "Rule"), "DefaultRetention");
  lock.mode = trim(text_of(rule, "Mode"));
  for (const auto& [element, unit] : {std::pair("Days", "day"), std::pair("Years", "year")}) {
    const std::string count(trim(text_of(rule, element)));
    if (!count.empty() && count != "0") lock.period = fmt::format("{} {}{}", count, unit, count == "1" ? "" : "s");
  }
  return lock;
}

bool fits_xml(std::string_view key) noexcept {
  for (const char c : key) {
    const auto code = static_cast<unsigned char>(c);
    if (code < ' ' && c != '\t' && c != '\n' && c != '\r') return false;
  }
  // U+FFFE and U+FFFF.
  return key.find("\xEF\xBF\xBE") == std::string_view::npos && key.find("\xEF\xBF\xBF") == std::string_view::npos;
}

std::string removal_request(std::span<const Removal> objects) {
  std::string xml = fmt::format("{}<Delete{}><Quiet>true</Quiet>", head, name_space);
  for (const Removal& object : objects) {
    xml += "<Object>";
    append_element(xml, "Key", object.key);
    if (!object.version_id.empty()) append_element(xml, "VersionId", object.version_id);
    xml += "</Object>";
  }
  return xml += "</Delete>";
}

std::string completion_request(std::span<const CompletedPart> parts) {
  std::string xml = fmt::format("{}<CompleteMultipartUpload{}>", head, name_space);
  for (const CompletedPart& part : parts) {
    xml += "<Part>";
    if (!part.crc32c.empty()) append_element(xml, "ChecksumCRC32C", part.crc32c);
    append_element(xml, "ETag", fmt::format("\"{}\"", part.etag));
    append_element(xml, "PartNumber", std::to_string(part.number));
    xml += "</Part>";
  }
  return xml += "</CompleteMultipartUpload>";
}

}  // namespace seawall::storage::s3
