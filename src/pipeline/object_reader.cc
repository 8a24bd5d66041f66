#include "pipeline/object_reader.hh"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "pipeline/object_writer.hh"

namespace seawall::pipeline {
namespace {

/// Suffixes that WAL-G and WAL-E write and this build may lack: meeting one is an error, not absence.
constexpr std::array<std::string_view, 7> written_suffixes{"lz4", "lzma", "gz", "br", "lzo", "zst", ""};

std::vector<std::string> candidate_keys(const Repository& repository, std::string_view name) {
  std::vector<std::string> keys;
  for (const std::string_view suffix : written_suffixes) {
    std::string key = repository.key(name);
    if (!suffix.empty()) key.append(".").append(suffix);
    keys.push_back(std::move(key));
  }
  keys.push_back(repository.key(name) + ".");  // WAL-G's method none once wrote the dot (spec §1.2); it still reads it
  return keys;
}

std::string_view suffix_after(std::string_view key, std::size_t name_length) {
  return key.size() > name_length ? key.substr(name_length + 1) : std::string_view{};
}

Error unsupported_suffix(std::string_view key, std::string_view suffix) {
  return {Errc::unsupported,
          fmt::format("{}: compression '.{}' is not supported by this build of seawall", key, suffix)};
}

}  // namespace

std::vector<Found> find_all_encoded(const Repository& repository, std::string_view name, std::stop_token stop) {
  std::vector<Found> found;
  const std::size_t name_length = repository.prefix.size() + name.size();
  for (storage::ObjectInfo& object : repository.store->stat_each(candidate_keys(repository, name), stop)) {
    const std::string_view suffix = suffix_after(object.key, name_length);
    const codec::Codec* codec = codec::find_codec_by_suffix(suffix);
    if (codec == nullptr) throw unsupported_suffix(object.key, suffix);
    found.push_back({std::move(object), codec});
  }
  return found;
}

std::optional<Found> find_encoded(const Repository& repository, std::string_view name, std::stop_token stop) {
  // The codec that this repository writes is the likely one; asking for it alone first saves the other requests.
  if (repository.codec != nullptr) {
    if (auto object = repository.store->stat(repository.key(with_suffix(name, *repository.codec)), stop)) {
      return Found{std::move(*object), repository.codec};
    }
  }
  std::vector<Found> found = find_all_encoded(repository, name, std::move(stop));
  if (found.empty()) return std::nullopt;
  return std::move(found.front());
}

const codec::Codec& codec_of_key(std::string_view key) {
  const std::string_view file = key.substr(key.rfind('/') + 1);
  const std::size_t dot = file.rfind('.');
  std::string_view suffix = dot == std::string_view::npos ? std::string_view{} : file.substr(dot + 1);
  if (suffix == "tar") suffix = {};
  const codec::Codec* codec = codec::find_codec_by_suffix(suffix);
  if (codec == nullptr) throw unsupported_suffix(key, suffix);
  return *codec;
}

namespace {

/// An encoded object on its way back: decrypted, then decoded, into a sink.
class Unpacking {
 public:
  Unpacking(const Repository& repository, const storage::ObjectInfo& object, const codec::Codec& codec, bool checked,
            Sink& to)
      : key_(object.key),
        expects_plain_(repository.crypter == nullptr),
        decoder_(codec.decode({.key = object.key, .size_hint = object.bytes, .digest_is_checked = checked}, to)),
        cipher_(expects_plain_ ? nullptr : repository.crypter->decrypt(object.key, *decoder_)) {}

  void write(Bytes data) {
    if (head_.size() < head_bytes) head_.append(text_of(data.first(std::min(data.size(), head_bytes))));
    guarded([&] { first().write(data); });
  }
  void finish() {
    guarded([&] {
      if (cipher_) cipher_->finish();
      decoder_->finish();
    });
  }

 private:
  static constexpr std::size_t head_bytes = 64;

  Filter& first() { return cipher_ ? *cipher_ : *decoder_; }

  /// Bytes that no decoder takes may be no damage: somebody else encrypts what he stores here.
  template <class Step>
  void guarded(Step&& step) {
    try {
      step();
    } catch (const Error& error) {
      const std::string_view method = expects_plain_ ? crypto::seems_encrypted(bytes_of(head_)) : std::string_view();
      if (error.code() != Errc::corrupt || method.empty()) throw;
      throw Error(Errc::config,
                  fmt::format("object '{}' seems to be encrypted with {}, but no encryption is configured: "
                              "set WALG_PGP_KEY_PATH, WALG_LIBSODIUM_KEY_PATH or what it was written with",
                              key_, method));
    }
  }

  const std::string key_;
  const bool expects_plain_;
  std::string head_;
  const std::unique_ptr<Filter> decoder_;
  const std::unique_ptr<Filter> cipher_;  // null: not encrypted
};

}  // namespace

Pulled pull(const Repository& repository, const storage::ObjectInfo& object, const codec::Codec& codec, Sink& to,
            std::stop_token stop, std::optional<Digest> expected) {
  const std::unique_ptr<Source> source = repository.store->try_open(object.key, {.if_version = object.version}, stop);
  if (source == nullptr)
    throw Error(Errc::not_found, fmt::format("object '{}' is no longer in the storage", object.key));
  Unpacking unpacking(repository, object, codec, expected.has_value(), to);
  Digester digester;
  Pulled pulled;
  AlignedBuffer buffer(std::size_t{512} << 10);
  while (const std::size_t n = source->read(buffer.span())) {
    if (stop.stop_requested()) throw Error(Errc::cancelled, fmt::format("reading of '{}' was stopped", object.key));
    const Bytes data = buffer.span().first(n);
    digester.update(data);
    unpacking.write(data);
    pulled.stored_bytes += n;
  }
  if (pulled.stored_bytes == 0) {
    throw Error(Errc::corrupt, fmt::format("object '{}' is empty: what it held is lost", object.key));
  }
  unpacking.finish();
  pulled.digest = digester.value();
  if (expected && pulled.digest != *expected) {
    throw Error(Errc::corrupt, fmt::format("object '{}' does not hold the bytes that were written: their digest is {}, "
                                           "recorded is {}",
                                           object.key, pulled.digest.hex(), expected->hex()));
  }
  return pulled;
}

std::optional<std::string> try_get(const Repository& repository, std::string_view name, std::stop_token stop,
                                   std::size_t limit) {
  const std::string key = repository.key(name);
  const std::unique_ptr<Source> source = repository.store->try_open(key, {}, stop);
  if (source == nullptr) return std::nullopt;
  std::string text;
  std::array<std::byte, 16384> buffer;
  while (const std::size_t n = source->read(buffer)) {
    if (text.size() + n > limit)
      throw Error(Errc::corrupt, fmt::format("object '{}' is larger than {} bytes", key, limit));
    text.append(text_of(Bytes(buffer).first(n)));
  }
  return text;
}

}  // namespace seawall::pipeline
