#pragma once

#include <string>

#include "ops/take_backup.hh"

namespace seawall::ops {

/// A base backup whose files the server sends over the replication protocol, in the layout of WAL-G's: members named
/// as the server names them (docs/formats/layout.md), and from 13 on with the server's own manifest. One tar stream is
/// received, cut into parts and compressed on all CPUs. As take_backup(), and Errc::db if the server sends no whole
/// backup.
std::string take_remote_backup(const pipeline::Repository& repository, const TakeBackupRequest& request,
                               const TakeBackupSettings& settings, const PostgresSettings& postgres, const Run& run);

}  // namespace seawall::ops
