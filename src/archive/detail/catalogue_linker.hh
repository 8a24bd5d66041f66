#pragma once

#include "archive/catalogue.hh"

namespace seawall::archive {

/// Finds out, once everything is read, how the backups of a catalogue hang together and what is wrong with them.
class CatalogueLinker {
 public:
  explicit CatalogueLinker(Catalogue& catalogue) : catalogue_(catalogue) {}
  void link(const CatalogueLoader& loader);

 private:
  enum class State : unsigned char { open, busy, done };

  void find_systems();
  void find_wal(Backup& backup);
  void find_other_segment_size();
  void look_up_wal(const WalListing::SizeOf& size_of);
  void find_parent(std::size_t index);
  void check_objects(Backup& backup);
  void check_wal(Backup& backup);
  void check_chain(std::size_t index);

  Catalogue& catalogue_;
  std::vector<State> states_;
};

}  // namespace seawall::archive
