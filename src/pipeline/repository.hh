#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/run.hh"
#include "codec/codec.hh"
#include "crypto/crypto.hh"
#include "pipeline/part_pool.hh"
#include "storage/store.hh"

namespace seawall::pipeline {

/// Where and how one archive is kept: a store, a prefix in it, and how objects are encoded. A value: several live in
/// one process, and every operation takes the one that it works on. Copies share the store. Thread-safe.
struct Repository {
  std::shared_ptr<storage::Store> store;
  std::string prefix;                                ///< WALG_STORAGE_PREFIX, "" or "some/path/" with its slash
  const codec::Codec* codec = nullptr;               ///< for writing; reading goes by the suffix
  int level = 0;                                     ///< of the codec; 0: its default
  std::string name = "default";                      ///< as lists show it
  std::shared_ptr<const crypto::Crypter> crypter{};  ///< null: what is encoded is not encrypted
  /// Reads what turns out to be encrypted with OpenPGP although `crypter` is null; null: that is an error.
  std::shared_ptr<const crypto::Crypter> reader_of_openpgp{};
  std::shared_ptr<PartPool> parts{};  ///< null: objects are sent part by part on the thread that makes them

  std::string key(std::string_view name_in_archive) const { return prefix + std::string(name_in_archive); }
};

}  // namespace seawall::pipeline
