#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/run.hh"

namespace seawall::postgres {

/// A database as CREATE DATABASE would need to be told.
struct DatabaseInfo {
  std::string name;
  std::string encoding;  ///< "UTF8"
  std::string collate;
  std::string ctype;
};

/// What a logical dump must know of the server.
struct ServerDatabases {
  int version = 0;  ///< server_version_num: 150004
  std::uint64_t system_identifier = 0;
  std::vector<DatabaseInfo> databases;  ///< that accept connections and are no templates, by name
};

/// Asks over a connection to `database` (empty: libpq's choice), as connect() of session.hh, with its errors.
ServerDatabases server_databases(std::string_view database, const Run& run);

/// Whether the database, which must exist, holds a relation or a function that is not PostgreSQL's own.
bool holds_anything(std::string_view database, const Run& run);

/// CREATE DATABASE from template0 with the encoding and locale that `like` had. Errors as connect().
void create_database(std::string_view connect_to, std::string_view name, const DatabaseInfo& like, const Run& run);

/// A conninfo string for client programs that means that database and no other, whatever is in its name.
std::string conninfo_of(std::string_view database);

}  // namespace seawall::postgres
